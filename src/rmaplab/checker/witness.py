"""What a clean verdict could have found: of each kind, whether what it is about ever happened.

A necessary condition and no more: where no object is ever freed no use-after-free can be, and a
verdict that there is none says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rmaplab.checker.lock_order import ACQUIRING, BLOCKING
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.checker.verdict import Witness
from rmaplab.machine.cells import Action
from rmaplab.machine.handles import BitLock

_DROPS = ("atomic_dec", "atomic_add_negative", "atomic_add_unless")
_WAITS = BLOCKING | {"lock_page", "wait_on_page_locked", "retry fault"}
_ATOMIC = frozenset({"spin_lock", "spin_trylock", "rcu_read_lock"})
_ENTRIES = frozenset({"set_pte_at", "ptep_get_and_clear"})


def witness(tables: Tables) -> Witness:
    """What the local states found so far did, over all interleavings."""
    done = list(_done(tables))
    possible = [kind for kind, test in _TESTS.items() if any(map(test, done))]
    shared, unmarked = _meetings(tables)
    if unmarked:
        possible.append("data-race")
    concurrent = [flow for flow in tables.scenario.flows if not flow.last and flow.calls]
    return Witness(tuple(possible), shared or len(concurrent) < 2)


def _done(tables: Tables) -> Iterator[Node]:
    """One local state of each action that took place, with each set of locks held."""
    known = set()
    for nodes in tables.tries.nodes:
        for node in nodes:
            key = (node.action, bool(node.held))
            if node.children and key not in known:
                known.add(key)
                yield node


def _meetings(tables: Tables) -> tuple[bool, bool]:
    """Whether two flows that run at once touch a common cell, and whether unmarked."""
    shared = unmarked = False
    columns = [
        {node.action for node in nodes if node.children and node.action}
        for nodes, flow in zip(tables.tries.nodes, tables.scenario.flows, strict=True)
        if not flow.last
    ]
    for place, actions in enumerate(columns):
        for others in columns[place + 1 :]:
            shared = shared or _meet(actions, others)
            plain = _meet({each for each in actions if each.plain}, others)
            unmarked = unmarked or plain or _meet(actions, {o for o in others if o.plain})
    return shared, unmarked


def _meet(actions: set[Action], others: set[Action]) -> bool:
    """Whether both touch a cell, and one of them writes it."""
    reads, writes = _masks(actions)
    other_reads, other_writes = _masks(others)
    return bool(writes & (other_reads | other_writes) or reads & other_writes)


def _masks(actions: set[Action]) -> tuple[int, int]:
    reads = writes = 0
    for action in actions:
        reads |= action.read_mask
        writes |= action.write_mask
    return reads, writes


def _named(*names: str) -> Callable[[Node], bool]:
    return lambda node: node.action is not None and node.action.name in names


def _drops(node: Node) -> bool:
    action = node.action
    if action is None or action.ref is None or not action.name.startswith(_DROPS):
        return False
    return action.ref.fields[action.field].least is not None


def _nests(node: Node) -> bool:
    action = node.action
    held = [lock for lock in node.held if not isinstance(lock, BitLock)]
    return action is not None and action.name in BLOCKING and bool(held)


_TESTS: dict[str, Callable[[Node], bool]] = {
    "use-after-free": _named("free"),
    "double-free": _named("free"),
    "leak": _named("alloc", "free"),
    "refcount-underflow": _drops,
    "deadlock": _named(*_WAITS),
    "lock-order": _nests,
    "bad-unlock": _named(*ACQUIRING),
    "missed-mapping": _named(*_ENTRIES),
    "wrong-data": _named(*_ENTRIES),
    "bug-on": lambda node: True,
    "sleep-in-atomic": _named(*_ATOMIC),
}
