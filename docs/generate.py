"""Rewrites what README.md and docs/*.md show of rmaplab: run it after a change of any output.

A block begins with a marker, `<!-- $ command -->` or `<!-- = table -->`, and ends with
`<!-- end -->`. Commands are shown without their seconds; where a table has some, a block counts as
changed only if something else has.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmaplab.history import KERNELS
from rmaplab.litmus.operations import OPERATIONS, usage
from rmaplab.litmus.reader import read_file
from rmaplab.runner.run import run, verify
from rmaplab.runner.system import System

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- ([$=]) (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SECONDS = re.compile(r"\b\d+\.\d\d s\b")
#: What takes longer than a test may.
SLOW = frozenset({
    "bugs",
    "rmaplab compare aim7 --children 1000 --pages 1000 --kernel v2.6.33 --kernel v2.6.34",
})  # fmt: skip


@dataclass(frozen=True)
class Bug:
    """A bug that the collection shows: on which kernel, and which kernel cures it."""

    what: str
    litmus: str
    kernel: str
    cure: str  # empty where no kernel here cures it


BUGS = (
    Bug("A root drops a reference that it never took.", "root-drops-itself", "seed-v2",
        "76545066c852"),
    Bug("Its next owner leaks it: what the user of 2010 saw.", "recycled-root-leaks", "seed-v2",
        "76545066c852"),
    Bug("Its next owner frees it while KSM pins it.", "recycled-root-freed-while-pinned",
        "seed-v2", "76545066c852"),
    Bug("Its next owner loses one of two pins.", "recycled-root-with-two-children", "seed-v2",
        "76545066c852"),
    Bug("A root dies under a child that KSM pins: the motive of the patch.",
        "root-dies-under-pinned-child", "root-lock", "76545066c852"),
    Bug("Migration walks the anon_vma of a page that nobody maps.", "migration-without-pin",
        "v2.6.34", "67b9509b2c68"),
    Bug("Migration pins an anon_vma that is free.", "migration-pins-freed-anon-vma", "v2.6.36",
        "1ce82b69e96c"),
    Bug("The same, unnoticed: it is freed a second time.", "migration-frees-twice", "v2.6.36",
        "1ce82b69e96c"),
    Bug("The lock of one root is taken, that of another released.", "unlock-of-another-root",
        "76545066c852", "f18194275c39"),
    Bug("The same with a mutex, taken without a reference.", "unlock-of-another-root",
        "88c22088bf23", "eee0f252c653"),
    Bug("A child's last drop frees the root, and then looks at its lock.",
        "root-dies-under-pinned-child", "v3.8", "624483f3ea82"),
    Bug("The last reference is put under RCU, and has to wait for a lock.",
        "last-reference-under-rcu", "v3.8", "7f39dda9d86f"),
    Bug("A split without memory says that it is done.", "split-without-memory", "ef0855d334e1",
        "c4ea95d7cd08"),
    Bug("A walk meets the half-made VMA of a fork.", "unlock-of-another-root", "v2.6.34",
        "f18194275c39"),
    Bug("A walk during fork visits an entry of the parent twice.", "walk-during-fork", "v2.6.34",
        "a247c3a97a02"),
    Bug("A migration entry stays in the stack that exec moves.", "exec-stack-against-migration",
        "v2.6.34", "012f18004da3"),
    Bug("Each generation of forks leaves an anon_vma.", "endless-growth", "v3.18",
        "7a3ef208e662"),
    Bug("ksmd scans the head of the list, which has no mm.", "scan-against-exit", "v2.6.38",
        "2b472611a32a"),
    Bug("ksmd leaves an mm that is free.", "ksmd-leaves-an-mm-that-exits", "f2e5ff85ed5f",
        "7496fea9a6bf"),
    Bug("A page moves into the VMA that a walk has passed.", "mremap-against-walk",
        "486cf46f3f9b", "948f017b0993"),
    Bug("A fork without memory leaves a freed VMA on the parent's list.", "fork-without-memory",
        "before-4946d54cb55e", "v2.6.34"),
    Bug("Two VMAs share an anon_vma and not their chains, and merge.",
        "merge-keeps-the-shorter-chain", "before-d0e9fe1758f2", "v2.6.34"),
    Bug("A VMA that grows over pages of the next copies its own chain.",
        "boundary-moves-without-the-chain", "before-287d97ac0321", "v2.6.34"),
    Bug("A copied chain is turned round: its last is not the oldest.", "copied-chain-turns-round",
        "before-646d87b481da", "v2.6.34"),
    Bug("A page from swap belongs to the child that came first.",
        "swapin-takes-the-childs-anon-vma", "before-ea90002b0fa7", "v2.6.34"),
    Bug("A page that KSM made its own, and merged with nobody, is asked for its root.",
        "half-merged-page-in-a-fork", "2aeadc30de45", "4829b906cc06"),
    Bug("A fault maps a page whose slot is another's by now.", "swapin-of-a-slot-used-again",
        "f18194275c39", "4969c1192d15"),
    Bug("A merged page is newer than its slot, and nobody knows.",
        "merged-page-loses-its-dirty-bit", "4829b906cc06", "4e31635c367a"),
    Bug("A VMA that joins its neighbour is not counted, until it goes.",
        "joined-vma-is-not-counted", "7a3ef208e662", "b800c91a0517"),
    Bug("A VMA that could not be linked is counted off.", "split-without-memory", "v3.19",
        "3fe89b3e2a7b"),
    Bug("CVE-2022-42703: two VMAs with one anon_vma and two chains merge.", "anon-vma-used-twice",
        "v5.19", "2555283eb40d"),
    Bug("A fault asks neighbours for an anon_vma, which nothing keeps.",
        "fault-asks-unlocked-neighbours", "5e31275cc997", "657b5146955e"),
    Bug("A fault uses an anon_vma whose chain is copied only half.",
        "fault-uses-a-chain-half-copied", "657b5146955e", "d8ab9f7b644a"),
    Bug("A merge without memory for the tree of VMAs keeps its chain.",
        "merge-without-memory-for-the-tree", "d8ab9f7b644a", "824135c46b00"),
    Bug("CVE-2026-23077: a page moves into a VMA that has no anon_vma.",
        "moved-into-a-vma-without-anon-vma", "d23cb648e365", "61f67c230a5e"),
    Bug("The same before v3.0, which cured it by the way.",
        "moved-into-a-vma-without-anon-vma", "v2.6.39", "965f55dea0e3"),
    Bug("Dirty COW: a forced write goes to the zero page.", "dirty-cow", "v4.5", "19be0eaffa3a"),
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """One generated block of a document."""

    document: Path
    name: str
    text: str
    now: Callable[[], str]


def documents() -> list[Path]:
    """Every document that may show output."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path) -> Iterator[Block]:
    """The generated blocks of a document, and what they should say."""
    for found in BLOCK.finditer(document.read_text("utf-8")):
        yield Block(document, found[3], found[4], lambda f=found: _wanted(f[2], f[3]))


def rewritten(text: str) -> str:
    """A document with all its blocks as they should be."""
    return BLOCK.sub(_rewritten, text)


def _rewritten(found: re.Match[str]) -> str:
    wanted = _wanted(found[2], found[3])
    same = without_seconds(wanted) == without_seconds(found[4])
    return found[1] + (found[4] if same else wanted) + found[5]


def without_seconds(text: str) -> str:
    """What of an output does not depend on the machine and its day."""
    return SECONDS.sub("... s", text)


def _wanted(sign: str, name: str) -> str:
    return TABLES[name]() if sign == "=" else f"```text\n{output(name)}\n```\n"


def output(command: str) -> str:
    """What a command prints, without seconds."""
    words = shlex.split(command)
    if words[0] == "cat":
        return (ROOT / words[1]).read_text("utf-8").rstrip()
    return without_seconds(_rmaplab(words[1:])).rstrip()


def _rmaplab(words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rmaplab.cli", *words],
        cwd=ROOT, stdout=subprocess.PIPE, check=False, encoding="utf-8",
    )  # fmt: skip
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"rmaplab {' '.join(words)}: exit status {done.returncode}")
    return done.stdout


# Tables


def bugs() -> str:
    """The bugs, as checks find them now."""
    rows = [["bug", "litmus", "kernel", "verdict", "steps", "states", "seconds", "cured in"]]
    for bug in BUGS:
        first, *cured = _results(bug)
        assert all(result["verdict"] == "clean" for result in cured), f"{bug} is not cured"
        steps, states = len(first["trace"]), first["states"]
        cure = f"`{bug.cure}`" if bug.cure else "not here"
        rows.append([
            bug.what, f"`{bug.litmus}`", f"`{bug.kernel}`", first["verdict"], str(steps),
            f"{states:,}", f"{first['seconds']:.2f} s", cure,
        ])  # fmt: skip
    return _table(rows)


def _results(bug: Bug) -> list[dict[str, Any]]:
    words = ["check", bug.litmus, "--format", "json"]
    for kernel in filter(None, (bug.kernel, bug.cure)):
        words += ["--kernel", kernel]
    results: list[dict[str, Any]] = json.loads(_rmaplab(words))["results"]
    return results


def steps() -> str:
    """Every step of the language, and what it does here."""
    rows = [["step", "what it does"]]
    for name in OPERATIONS:
        method = getattr(System, name, None)
        does = method.__doc__.strip().splitlines()[0] if method else "Not modelled yet: refused."
        rows.append([f"`{usage(name)}`".replace("|", "\\|"), does])
    return _table(rows)


def cases() -> str:
    """The recorded cases, and where the releases first differ from them."""
    releases = ("v2.6.34", "v2.6.35", "v2.6.36", "v2.6.38")
    rows = [["case", *(f"`{release}`" for release in releases)]]
    for path in sorted((ROOT / "tests" / "cases").glob("*.json")):
        litmus = read_file(path)
        found = [verify(run(litmus, KERNELS[release]), litmus) for release in releases]
        differing = [f"step {one.step}: {one.field}" if one else "holds" for one in found]
        rows.append([f"`{path.stem}`", *differing])
    return _table(rows)


def _table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([lines[0], f"|{' --- |' * len(rows[0])}\n", *lines[1:]])


TABLES: dict[str, Callable[[], str]] = {"bugs": bugs, "cases": cases, "steps": steps}


def main() -> None:
    """Rewrite every document that says something else."""
    for document in documents():
        text = document.read_text("utf-8")
        new = rewritten(text)
        if new != text:
            document.write_text(new, "utf-8")
            print(f"{document.relative_to(ROOT)}: rewritten")


if __name__ == "__main__":
    main()
