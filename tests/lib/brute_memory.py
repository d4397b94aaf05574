"""What each operation of a protocol means to brute force: its own memory, its own rules."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from protocols import Pointer, Protocol, trimmed

from rmaplab.machine import KernelStateError

BLOCKED = object()
SLEEPS = ("alloc", "lock_bit", "wait_bit", "down_read", "down_write")
FRESH = {"x": 0, "lock": None, "count": 0, "head": (), "link": None}


class Wrong(Exception):
    """A violation of that kind."""


def pack(memory: dict[Any, Any]) -> Any:
    return trimmed(memory)


def visible(memory: dict[Any, Any]) -> frozenset[Any]:
    """What can be compared with the machine's memory: no freelists, no readers."""
    return trimmed({key: held for key, held in memory.items() if key[0] not in ("free", "rcu")})


def steps_of(body: Any, fail: int) -> Generator[Any, Any, Any]:
    """The protocol's operations, those of several accesses taken apart."""
    spins = rcu = sems = allocations = 0
    try:
        op = next(body)
        while True:
            if op[0] in SLEEPS and (spins or rcu):
                raise KernelStateError("sleep-in-atomic", op[0])
            allocations += op[0] == "alloc"
            inner = rcu > (op[0] == "rcu_unlock") and op[0].startswith("rcu_")
            if inner or (op[0] == "alloc" and allocations == fail):
                response = None
            else:
                response = yield from _accesses(*op)
            spins += op[0] == "lock" or (op[0] == "trylock" and response)
            spins -= op[0] == "unlock"
            rcu += (op[0] == "rcu_lock") - (op[0] == "rcu_unlock")
            sems += op[0].startswith("down_") - op[0].startswith("up_")
            op = body.send(response)
    except StopIteration as stop:
        if spins or rcu or sems:
            raise KernelStateError("bad-unlock", "returns with a lock") from None
        return stop.value


def _accesses(name: str, *operands: Any) -> Generator[Any, Any, Any]:
    if name == "alloc":
        index = yield ("pop",)
        generation = yield "begin", index
        return Pointer(index[0], generation)
    if name == "free":
        yield "end", operands[0]
        return (yield "push", operands[0])
    if name == "del":
        place = yield "entry", (operands[0], "link")
        if place is None:
            raise KernelStateError("bug-on", "on no list")
        return (yield "unlink", place, operands[0])
    return (yield name, *operands)


def _where(place: Any) -> tuple[Any, str]:
    return ("g", place) if isinstance(place, str) else (place[0].index, place[1])


def _living(
    memory: dict[Any, Any], pointer: Any, cpu: int, protocol: Protocol, gentle: bool
) -> None:
    if not isinstance(pointer, Pointer) or memory[pointer.index, "life"] == pointer.generation:
        return
    kept = memory.get(("rcu", cpu)) or ()
    if not (protocol.rcu and gentle and pointer in kept):
        raise Wrong("use-after-free")


GENTLE = ("load", "lock", "trylock", "unlock", "read", "entry", "empty", "first", "inc_not_zero")


def apply(memory: dict[Any, Any], op: Any, cpu: int, protocol: Protocol) -> Any:
    """Do one access: changes the memory, returns the response or BLOCKED."""
    name, *operands = op
    if name in SPECIAL:
        return SPECIAL[name](memory, cpu, protocol, *operands)
    place = operands[0]
    if not isinstance(place, str):
        _living(memory, place[0], cpu, protocol, name in GENTLE)
    where = _where(place)
    held = memory.get(where, FRESH.get(where[1]))
    if name in ("load", "entry", "read"):
        return _number(held, name, where, protocol)
    if name in ("store", "set"):
        memory[where] = operands[1]
        return None
    if name in ("empty", "first"):
        items = held or ()
        return not items if name == "empty" else (items[0] if items else None)
    return KIND[name](memory, where, held, cpu)


def _number(held: Any, name: str, where: Any, protocol: Protocol) -> Any:
    zero = name == "read" or where[1] in (*protocol.values, *protocol.marked)
    return 0 if held is None and zero else held


def _lock(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    if held == f"CPU{cpu}":
        raise Wrong("deadlock")
    if held is not None:
        return BLOCKED
    memory[where] = f"CPU{cpu}"
    return None


def _trylock(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    if held is None:
        memory[where] = f"CPU{cpu}"
    return held is None


def _unlock(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    if held != f"CPU{cpu}":
        raise Wrong("bad-unlock")
    memory[where] = None


def _unlock_bit(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    if held is None:
        raise Wrong("bad-unlock")
    memory[where] = None


def _wait_bit(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    return BLOCKED if held is not None else None


def _add(amount: int, unless: int | None, tell: Any) -> Any:
    def add(memory: Any, where: Any, held: Any, cpu: int) -> Any:
        count = held or 0
        if unless is not None and count == unless:
            return False
        if amount < 0 and count + amount < 0:
            raise Wrong("refcount-underflow")
        memory[where] = count + amount
        return tell(count + amount)

    return add


def _down_read(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    writer, readers = held or (None, ())
    if writer == cpu:
        raise Wrong("deadlock")
    if writer is not None:
        return BLOCKED
    memory[where] = (None, tuple(sorted((*readers, cpu))))
    return None


def _up_read(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    writer, readers = held or (None, ())
    if cpu not in readers:
        raise Wrong("bad-unlock")
    place = readers.index(cpu)
    memory[where] = (writer, readers[:place] + readers[place + 1 :])


def _down_write(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    writer, readers = held or (None, ())
    if writer == cpu or cpu in readers:
        raise Wrong("deadlock")
    if writer is not None or readers:
        return BLOCKED
    memory[where] = (cpu, ())
    return None


def _up_write(memory: Any, where: Any, held: Any, cpu: int) -> Any:
    if (held or (None, ()))[0] != cpu:
        raise Wrong("bad-unlock")
    memory[where] = (None, ())


KIND: dict[str, Any] = {
    "lock": _lock,
    "trylock": _trylock,
    "unlock": _unlock,
    "lock_bit": _lock,
    "unlock_bit": _unlock_bit,
    "wait_bit": _wait_bit,
    "inc": _add(1, None, lambda new: None),
    "dec": _add(-1, None, lambda new: None),
    "dec_and_test": _add(-1, None, lambda new: new == 0),
    "inc_not_zero": _add(1, 0, lambda new: True),
    "dec_unless_one": _add(-1, 1, lambda new: True),
    "down_read": _down_read,
    "up_read": _up_read,
    "down_write": _down_write,
    "up_write": _up_write,
}


def _pop(memory: Any, cpu: int, protocol: Protocol) -> Any:
    free, made = memory.get(("free", cpu), ((), 0))
    if free:
        memory["free", cpu] = (free[:-1], made)
        return free[-1], False
    memory["free", cpu] = (free, made + 1)
    return made * len(protocol.flows) + cpu, True


def _begin(memory: Any, cpu: int, protocol: Protocol, popped: Any) -> Any:
    index, _ = popped
    memory[index, "life"] = abs(memory.get((index, "life"), 0)) + 1
    return memory[index, "life"]


def _end(memory: Any, cpu: int, protocol: Protocol, pointer: Any) -> None:
    if memory[pointer.index, "life"] != pointer.generation:
        raise Wrong("double-free")
    memory[pointer.index, "life"] = -pointer.generation
    if not protocol.rcu:
        memory.update({(pointer.index, name): initial for name, initial in FRESH.items()})
    for other in range(len(protocol.flows)):
        kept = memory.get(("rcu", other))
        if protocol.rcu and other != cpu and kept is not None:
            memory["rcu", other] = kept | {pointer}


def _push(memory: Any, cpu: int, protocol: Protocol, pointer: Any) -> None:
    free, made = memory.get(("free", cpu), ((), 0))
    memory["free", cpu] = ((*free, pointer.index), made)


def _link(memory: Any, cpu: int, protocol: Protocol, place: Any, item: Any) -> None:
    if not isinstance(place, str):
        _living(memory, place[0], cpu, protocol, False)
    _living(memory, item, cpu, protocol, False)
    if memory.get((item.index, "link")) is not None:
        raise Wrong("bug-on")
    memory[_where(place)] = (*memory.get(_where(place), ()), item)
    memory[item.index, "link"] = ("g", place) if isinstance(place, str) else place


def _unlink(memory: Any, cpu: int, protocol: Protocol, head: Any, item: Any) -> None:
    owner, name = head
    if isinstance(owner, Pointer):
        _living(memory, owner, cpu, protocol, False)
    _living(memory, item, cpu, protocol, False)
    where = (owner, name) if owner == "g" else (owner.index, name)
    items = memory.get(where, ())
    if memory.get((item.index, "link")) is None or item not in items:
        raise Wrong("bug-on")
    place = items.index(item)
    memory[where] = items[:place] + items[place + 1 :]
    memory[item.index, "link"] = None


def _rcu(value: Any) -> Any:
    def change(memory: Any, cpu: int, protocol: Protocol) -> None:
        memory["rcu", cpu] = value

    return change


SPECIAL: dict[str, Any] = {
    "pop": _pop,
    "begin": _begin,
    "end": _end,
    "push": _push,
    "add": _link,
    "unlink": _unlink,
    "rcu_lock": _rcu(frozenset()),
    "rcu_unlock": _rcu(None),
}


def touches(op: Any, protocol: Protocol) -> tuple[bool, set[Any], set[Any]]:
    """Whether an access is unmarked, what it reads, what it writes."""
    name, *operands = op
    if name in ("load", "store"):
        unmarked = operands[0] not in protocol.marked
        where = {_where(operands[0])}
        return unmarked, where if name == "load" else set(), where if name == "store" else set()
    if name in ("empty", "first"):
        return True, {_where(operands[0])}, set()
    if name in ("add", "unlink"):
        place, item = operands
        head = _where(place) if name == "add" or place[0] != "g" else place
        return True, set(), {head, (item.index, "link")}
    if name == "end" and not protocol.rcu:
        return False, set(), {(operands[0].index, field_) for field_ in FRESH}
    if name == "entry":
        return False, {_where(operands[0])}, set()
    return False, set(), set()
