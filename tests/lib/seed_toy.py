"""A toy of the patch this project grew from: a root anon_vma and its children, all exit at once."""

from __future__ import annotations

from typing import Any

from protocols import Protocol, flows


def toy(children: int, fixed: bool) -> Protocol:
    """CPU 0 is the parent. The root's list has an entry of each, a child's list has its own."""

    def setup() -> Any:
        root = yield ("alloc",)
        entries = []
        for _ in range(children + 1):
            entry = yield ("alloc",)
            yield "add", (root, "head"), entry
            entries.append(entry)
        yield "set", (root, "count"), children
        own = []
        for _ in range(children):
            child, entry = (yield ("alloc",)), (yield ("alloc",))
            yield "add", (child, "head"), entry
            own.append((child, entry))
        return root, entries, own

    def unlink(anon_vma: Any, entry: Any, root: Any) -> Any:
        yield "lock", (root, "lock")
        yield "del", entry
        empty = yield "empty", (anon_vma, "head")
        empty = empty and (yield "read", (anon_vma, "count")) == 0
        yield "unlock", (root, "lock")
        if empty:
            if not fixed or anon_vma != root:
                yield from drop(root)
            yield "free", anon_vma

    def drop(root: Any) -> Any:
        if (yield "dec_unless_one", (root, "count")):
            return
        yield "lock", (root, "lock")
        last = yield "dec_and_test", (root, "count")
        empty = last and (yield "empty", (root, "head"))
        yield "unlock", (root, "lock")
        if empty:
            yield "free", root

    def exits(number: int) -> Any:
        def body(root: Any, entries: Any, own: Any) -> Any:
            if number:
                child, entry = own[number - 1]
                yield from unlink(child, entry, root)
                yield "free", entry
            yield from unlink(root, entries[number], root)
            yield "free", entries[number]

        return body

    return Protocol(flows(*map(exits, range(children + 1))), setup=setup, no_leak=True)
