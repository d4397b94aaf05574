"""Reads a litmus in the JSON form of recorded cases: steps in order, each with its observation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from rmaplab.errors import InputError, Place
from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.operations import (
    CONTENT,
    COUNT,
    KNOB,
    KNOB_VALUE,
    LITMUS_NAME_FORM,
    OPERATIONS,
    WITHOUT_PROCESS,
    Operand,
    Truth,
    contents,
    doer,
    misplaced_process,
)
from rmaplab.litmus.roster import Roster, new_name_complaint
from rmaplab.litmus.wording import shown, tidy, unknown

NAMES_OF_TYPES: Mapping[type, str] = {str: "text", list: "list", dict: "object"}


def read_case(text: str, path: str = "") -> Litmus:
    """The Litmus that a JSON case stands for: everything in `setup`, observations beside it.

    A case claims nothing about what is left at its end: who has not exited is `alive`.
    """
    return _Case(_document(text, path), path).litmus()


def _document(text: str, path: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = Place(path, error.lineno, error.colno)
        raise InputError(
            f"is no JSON here: {error.msg[:1].lower()}{error.msg[1:]}", place
        ) from None
    except (RecursionError, ValueError):
        raise InputError("nested too deep, or a number too long, for a case", Place(path)) from None
    if not isinstance(document, dict):
        raise InputError("is no case: write an object with `name` and `steps`", Place(path))
    return document


class _Case:
    """One case under conversion; errors name the field, and the step by its index."""

    def __init__(self, document: Mapping[str, Any], path: str) -> None:
        self.document = document
        self.path = path

    def litmus(self) -> Litmus:
        processes = self._roots()
        roster = Roster(processes, processes)
        steps = []
        for index, raw in enumerate(self._list("steps", dict, required=True)):
            step = self._step(f"steps[{index}]", raw)
            complaint = roster.follow(step)
            if complaint:
                self._refuse(f"steps[{index}]", complaint)
            steps.append(step)
        return Litmus(
            name=self._name(),
            about=tidy(self._field("about", str, "")),
            processes=processes,
            ksm=self._ksm(),
            setup=tuple(steps),
            alive=tuple(roster.running),
            observations=self._observations(len(steps)),
            unstable=tuple(map(self._unstable, enumerate(self._list("unstable", list)))),
            drop=tuple(self._list("drop", str)),
            path=self.path,
        )

    def _refuse(self, field: str, complaint: str) -> NoReturn:
        raise InputError(f"{field}: {complaint}", Place(self.path))

    def _field(self, name: str, kind: type, default: Any) -> Any:
        value = self.document.get(name, default)
        if not isinstance(value, kind):
            self._refuse(name, f"{shown(value)} is no {NAMES_OF_TYPES[kind]}: write one")
        return value

    def _list(self, name: str, kind: type, required: bool = False) -> list[Any]:
        values: list[Any] = self._field(name, list, None if required else [])
        for index, value in enumerate(values):
            if not isinstance(value, kind):
                wanted = NAMES_OF_TYPES[kind]
                self._refuse(f"{name}[{index}]", f"{shown(value)} is no {wanted}: write one")
        return values

    def _name(self) -> str:
        name: str = self._field("name", str, None)
        if not LITMUS_NAME_FORM.fullmatch(name):
            self._refuse("name", f"{shown(name)} is no name: write letters, digits, `_` and `-`")
        return name

    def _roots(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for index, name in enumerate(self._list("roots", str) if "roots" in self.document else "A"):
            complaint = new_name_complaint(name, names)
            if complaint:
                self._refuse(f"roots[{index}]", complaint)
            names[name] = None
        if not names:
            self._refuse("roots", "a case needs a process: write its name")
        return tuple(names)

    def _ksm(self) -> dict[str, int]:
        knobs: dict[str, int] = self._field("ksm", dict, {})
        for name, value in knobs.items():
            complaint = KNOB.complaint(name) or KNOB_VALUE.complaint(value)
            if complaint:
                self._refuse(f"ksm.{name}", complaint)
        return knobs

    def _observations(self, steps: int) -> tuple[Mapping[str, Any], ...]:
        observations = self._list("expect", dict)
        if observations and len(observations) != steps:
            counts = f"{len(observations)} observations for {steps} steps"
            self._refuse("expect", f"{counts}: write one for each step, or none at all")
        return tuple(observations)

    def _unstable(self, entry: tuple[int, list[Any]]) -> tuple[int, str, tuple[str, ...]]:
        index, parts = entry
        match parts:
            case [int(step), str(field), [*keys]] if all(isinstance(key, str) for key in keys):
                return step, field, tuple(keys)
        self._refuse(f"unstable[{index}]", f"{shown(parts)}: write [STEP, FIELD, [KEY, ...]]")

    def _step(self, where: str, raw: Mapping[str, Any]) -> Step:
        operation = raw.get("op")
        if not isinstance(operation, str) or operation not in OPERATIONS:
            self._refuse(f"{where}.op", unknown("operation", operation, OPERATIONS))
        process = raw.get("p")
        if process is not None and not isinstance(process, str):
            self._refuse(f"{where}.p", f"{shown(process)} is no name of a process: write one")
        misplaced = misplaced_process(operation, process)
        if misplaced:
            self._refuse(f"{where}.p", misplaced)
        self._check_fields(where, operation, raw)
        args: dict[str, Any] = {}
        for operand in OPERATIONS[operation]:
            args.update(self._operand(where, operand, raw))
        if "fail" in raw:
            args["fail"] = self._checked(where, "fail", COUNT.complaint, raw["fail"])
        return Step(operation, doer(operation, process), args, Place(self.path))

    def _check_fields(self, where: str, operation: str, raw: Mapping[str, Any]) -> None:
        fields = ["op", "fail", *(operand.name for operand in OPERATIONS[operation])]
        if operation not in WITHOUT_PROCESS or operation == "scan":
            fields.append("p")
        if any(operand.several for operand in OPERATIONS[operation]):
            fields.append("cs")
        for name in raw:
            if name not in fields:
                self._refuse(f"{where}.{name}", unknown(f"field of `{operation}`", name, fields))

    def _operand(self, where: str, operand: Operand, raw: Mapping[str, Any]) -> dict[str, Any]:
        if operand.several and "cs" in raw:
            return self._contents(where, raw)
        if operand.name not in raw:
            if not operand.optional:
                label = operand.kind.label
                self._refuse(f"{where}.{operand.name}", f"missing: write a value, {label}")
            return {} if operand.default is None else {operand.name: operand.default}
        value = self._checked(where, operand.name, operand.kind.complaint, raw[operand.name])
        if isinstance(operand.kind, Truth):
            value = bool(value)
            if operand.is_flag and not value and operand.default is None:
                return {}
        return {operand.name: value}

    def _checked(
        self, where: str, name: str, complaint_of: Callable[[object], str | None], value: object
    ) -> Any:
        complaint = complaint_of(value)
        if complaint:
            self._refuse(f"{where}.{name}", complaint)
        return value

    def _contents(self, where: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        values = raw["cs"]
        if "c" in raw:
            self._refuse(f"{where}.cs", "there is `c` already: write one of the two")
        if not isinstance(values, list) or not values:
            self._refuse(f"{where}.cs", f"{shown(values)} is no list of contents: write one")
        for index, value in enumerate(values):
            self._checked(where, f"cs[{index}]", CONTENT.complaint, value)
        if raw.get("n", len(values)) != len(values):
            counts = f"{len(values)} contents for {shown(raw['n'])} pages"
            self._refuse(f"{where}.cs", f"{counts}: write one for each page")
        return contents(values)
