"""The inner loops of the native walk, compiled: loading them takes half a second.

A state is a row of 64-bit words: its fingerprint, then its numbers, packed.
All states belong to one of two halves, by the lowest bit of the fingerprint, whatever the number
of threads: a half expands its own states, then takes in those successors that belong to it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rmaplab.checker.native.jit import entry, inner, prefetch

#: Entries of tables that hold no number: not asked yet; has to wait; goes wrong, as was told.
UNKNOWN, BLOCKED, WRONG = -1, -2, -3

#: What is known of a local state, by place in its row.
ACTION, FLAGS, LINE, FIRST_CHILD, CHILDREN, TOUCHED, FUTURE = range(7)
FINISHED, FAULTY, LAST, TURNS_BACK = 1, 2, 4, 8

#: Why a state is handed to Python: something about it is not known; no flow can go on;
#: all have finished; a flow goes wrong before it touches anything.
QUESTION, STUCK, ENDED, FAULT = range(4)

#: A flow that can go on, as columns of a small array.
COLUMN, NODE, EFFECT, CHILD = range(4)

#: Slots of a hash table after its last home: for those that find their home taken.
SLACK = 4096


class Rules(NamedTuple):
    """The tables of a scenario as arrays; whatever they do not tell is `UNKNOWN`."""

    fields: Any  # by position: its word in a row, its lowest bit there, its mask
    nodes: Any  # by column, number: ACTION, FLAGS, ...
    children: Any  # by FIRST_CHILD + response: a local state's number, UNKNOWN or WRONG
    turns: Any  # by the same: what the step to it does to the fingerprint
    actions: Any  # by action: root in `decisions`, first in `looks`, how many of these
    looks: Any  # fields that actions look at
    decisions: Any  # a tree by the values at these: at the leaves an effect, UNKNOWN or BLOCKED
    effects: Any  # by effect: the response, first in `changes` and end, first in `blind` and end
    shifts: Any  # by effect: what it does to the fingerprint, apart from what it overwrites blindly
    changes: Any  # word of a row, bits of it that stay, bits that are set
    blind: Any  # positions
    races: Any  # by two actions: whether they race
    told: Any  # by the lines of two accesses: whether their race was told
    apart: Any  # by TOUCHED and FUTURE: whether these are independent: 0, 1 or UNKNOWN


#: How many successors before its turn the slot of one is fetched from memory.
AHEAD = 16


@entry
def random_word(position: int, value: int) -> Any:
    """A 64-bit word for each number at each position; 0 for 0. The finalizer of SplitMix64."""
    if value == 0:
        return np.uint64(0)
    word = ((np.uint64(position) << np.uint64(32)) | np.uint64(value)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@inner
def get(states: Any, state: int, fields: Any, field: int) -> Any:
    """The number in a field of a state."""
    word = states[state, fields[field, 0]]
    return np.int64((word >> fields[field, 1]) & fields[field, 2])


@inner
def effect_of(rules: Rules, states: Any, state: int, action: int) -> Any:
    """What an action does in a state."""
    place = np.int64(rules.actions[action, 0])
    look = rules.actions[action, 1]
    end = look + rules.actions[action, 2]
    if look == end:
        return np.int64(rules.decisions[place])
    while look < end and place >= 0:
        place = np.int64(rules.decisions[place + get(states, state, rules.looks, look)])
        look += 1
    return place


@inner
def runnable(rules: Rules, states: Any, state: int, flows: Any) -> Any:
    """Fill in the flows that have not finished, and their local states: how many these are.

    The last flow is one of them only when no other is left.
    """
    count = waiting = 0
    for column in range(len(flows)):
        node = get(states, state, rules.fields, column)
        flags = rules.nodes[column, node, FLAGS]
        if flags & LAST:
            waiting += 1
        elif flags & FINISHED == 0:
            flows[count, COLUMN], flows[count, NODE] = column, node
            count += 1
    if count == 0 and waiting:
        for column in range(len(flows)):
            node = get(states, state, rules.fields, column)
            if rules.nodes[column, node, FLAGS] & FINISHED == 0:
                flows[count, COLUMN], flows[count, NODE] = column, node
                count += 1
    return count


@inner
def race_untold(rules: Rules, flows: Any, count: int) -> bool:
    """Whether two flows are about to race and nobody knows yet."""
    for one in range(count):
        column, node = flows[one, COLUMN], flows[one, NODE]
        action = rules.nodes[column, node, ACTION]
        for two in range(one + 1, count):
            other, its = flows[two, COLUMN], flows[two, NODE]
            if rules.races[action, rules.nodes[other, its, ACTION]]:
                line = rules.nodes[column, node, LINE]
                if not rules.told[line, rules.nodes[other, its, LINE]]:
                    return True
    return False


@inner
def alone(rules: Rules, flows: Any, count: int) -> int:
    """A flow that may go alone, by its place among `flows`; -1 if none may.

    -2 if it is not known whether an action is independent of what another flow may yet do.
    """
    for one in range(count):
        column, node = flows[one, COLUMN], flows[one, NODE]
        if flows[one, EFFECT] == BLOCKED or rules.children[flows[one, CHILD]] == WRONG:
            continue
        if rules.nodes[column, node, FLAGS] & TURNS_BACK:
            continue
        touched, independent = rules.nodes[column, node, TOUCHED], 1
        for two in range(count):
            if two != one and independent == 1:
                other, its = flows[two, COLUMN], flows[two, NODE]
                independent = rules.apart[touched, rules.nodes[other, its, FUTURE]]
        if independent == 1:
            return one
        if independent == UNKNOWN:
            return -2
    return -1


@inner
def all_known(rules: Rules, states: Any, state: int, flows: Any, count: int) -> bool:
    """Fill in what each flow would do: whether all of that is known."""
    for one in range(count):
        column, node = flows[one, COLUMN], flows[one, NODE]
        effect = effect_of(rules, states, state, rules.nodes[column, node, ACTION])
        flows[one, EFFECT] = effect
        if effect == BLOCKED:
            continue
        if effect == UNKNOWN or rules.effects[effect, 0] >= rules.nodes[column, node, CHILDREN]:
            return False
        place = rules.nodes[column, node, FIRST_CHILD] + rules.effects[effect, 0]
        if rules.children[place] == UNKNOWN:
            return False
        flows[one, CHILD] = place
    return True


@inner
def look_up(rules: Rules, states: Any, state: int, flows: Any, reduce: bool) -> tuple[int, int]:
    """Fill in what flows that are to go would do: why Python must see the state, or -1.

    And how many these are: all that can go on or go wrong; or one, if it may go alone.
    """
    count = runnable(rules, states, state, flows)
    if count == 0:
        return ENDED, 0
    for one in range(count):
        if rules.nodes[flows[one, COLUMN], flows[one, NODE], FLAGS] & FAULTY:
            return FAULT, 0
    if race_untold(rules, flows, count):
        return QUESTION, 0
    if not all_known(rules, states, state, flows, count):
        return QUESTION, 0
    first, end = 0, count
    if reduce and count > 1:
        chosen = alone(rules, flows, count)
        if chosen == -2:
            return QUESTION, 0
        if chosen >= 0:
            first, end = chosen, chosen + 1
    moving = 0
    for one in range(first, end):
        if flows[one, EFFECT] != BLOCKED:
            flows[moving, COLUMN] = flows[one, COLUMN]
            flows[moving, EFFECT] = flows[one, EFFECT]
            flows[moving, CHILD] = flows[one, CHILD]
            moving += 1
    return (-1, moving) if moving else (STUCK, 0)


@inner
def fingerprint_after(rules: Rules, states: Any, state: int, effect: int, child: int) -> Any:
    """The fingerprint of the state after a step."""
    fingerprint = states[state, 0] ^ rules.shifts[effect] ^ rules.turns[child]
    for number in range(rules.effects[effect, 3], rules.effects[effect, 4]):
        position = rules.blind[number]
        fingerprint ^= random_word(position, get(states, state, rules.fields, position))
    return fingerprint


@entry
def expand(
    rules: Rules,
    columns: int,
    states: Any,
    chosen: Any,
    out: Any,
    made: Any,
    events: Any,
    reduce: bool,
) -> tuple[int, int, int]:
    """Put the successors of the chosen states into `out`, by their half.

    Each as fingerprint, state and flow, effect and place in `children`.
    Stops where `out` or `events` (state, why Python must see it) could overflow.
    Returns how many states were taken, how many steps they have, and how many events.
    """
    flows = np.empty((columns, 4), np.int64)
    made[0] = made[1] = 0
    told = steps = 0
    room = out.shape[1] - columns
    for number in range(len(chosen)):
        if made[0] > room or made[1] > room or told == len(events):
            return number, steps, told
        state = chosen[number]
        event, moving = look_up(rules, states, state, flows, reduce)
        if event >= 0:
            events[told, 0], events[told, 1] = state, event
            told += 1
            continue
        steps += moving
        for one in range(moving):
            effect, child = flows[one, EFFECT], flows[one, CHILD]
            if rules.children[child] == WRONG:
                continue
            fingerprint = fingerprint_after(rules, states, state, effect, child)
            side = np.int64(fingerprint & np.uint64(1))
            place = made[side]
            out[side, place, 0] = fingerprint
            out[side, place, 1] = np.uint64(state << 6 | flows[one, COLUMN])
            out[side, place, 2] = np.uint64(effect << 32 | child)
            made[side] = place + 1
    return len(chosen), steps, told


@inner
def write(
    rules: Rules, states: Any, state: int, step: Any, column: Any, rows: Any, row: int
) -> None:
    """Write the state after a step, an effect and a place in `children`, into a row."""
    for word in range(1, rows.shape[1]):
        rows[row, word] = states[state, word]
    effect = np.int64(step >> np.uint64(32))
    for change in range(rules.effects[effect, 1], rules.effects[effect, 2]):
        at = rules.changes[change, 0]
        rows[row, at] = (rows[row, at] & rules.changes[change, 1]) | rules.changes[change, 2]
    child = np.uint64(rules.children[np.int64(step & np.uint64(0xFFFFFFFF))])
    at, shift = rules.fields[column, 0], rules.fields[column, 1]
    rows[row, at] &= ~(rules.fields[column, 2] << shift)
    rows[row, at] |= child << shift


@inner
def same(rows: Any, row: Any, other: int) -> Any:
    """Whether two rows are one state."""
    word = 1
    while word < rows.shape[1] and rows[row, word] == rows[other, word]:
        word += 1
    return word == rows.shape[1]


@entry
def take_in(
    rules: Rules,
    states: Any,
    first: int,
    half: int,
    out: Any,
    side: int,
    made: int,
    table: Any,
    bits: int,
    log: Any,
    stored: int,
    following: Any,
    queued: int,
    exact: bool,
) -> tuple[int, int]:
    """Keep those successors of a side that are new: how many are stored and queued then.

    They come from `states` of a half, whose places in its log begin at `first`; an origin is a
    place in a log, its half, and the flow. The table holds fingerprints; or, if exact, places in
    `following`, counted from 1, where whole states are compared.
    """
    homes = np.uint64(64 - bits)
    for number in range(made):
        if number + AHEAD < made:
            prefetch(table, np.int64(out[side, number + AHEAD, 0] >> homes))
        fingerprint = out[side, number, 0]
        state: Any = np.int64(out[side, number, 1] >> np.uint64(6))
        column = out[side, number, 1] & np.uint64(63)
        slot = fingerprint >> homes
        if exact:
            entry_ = np.uint64(stored + 1)
            following[queued, 0] = fingerprint
            write(rules, states, state, out[side, number, 2], column, following, queued)
            while table[slot] != 0 and not same(following, np.int64(table[slot]) - 1, queued):
                slot += np.uint64(1)
        else:
            entry_ = fingerprint | np.uint64(1)  # never 0; within a half the lowest bit is known
            while table[slot] != 0 and table[slot] != entry_:
                slot += np.uint64(1)
        if table[slot] == 0:
            table[slot] = entry_
            log[stored] = np.uint64(((first + state) << 1 | half) << 6) | column
            stored += 1
            if not exact:
                following[queued, 0] = fingerprint
                write(rules, states, state, out[side, number, 2], column, following, queued)
            queued += 1
    return stored, queued


@entry
def spread(table: Any, bits: int, old_end: int, whole: Any, exact: bool) -> None:
    """Rehash a table in place after it grew to 2**bits homes; `old_end` slots were in use.

    The home is given by the highest bits, so that going down from the end, each entry moves up
    into what was freed already; the few that would not are put in last.
    """
    homes = np.uint64(64 - bits)
    left = []
    for old in range(old_end - 1, -1, -1):
        entry_ = table[old]
        table[old] = 0
        if entry_ == 0:
            continue
        slot = np.int64((whole[np.int64(entry_) - 1, 0] if exact else entry_) >> homes)
        if slot <= old:
            left.append(entry_)
            continue
        while table[slot] != 0:
            slot += 1
        table[slot] = entry_
    for entry_ in left:
        slot = np.int64((whole[np.int64(entry_) - 1, 0] if exact else entry_) >> homes)
        while table[slot] != 0:
            slot += 1
        table[slot] = entry_


@entry
def repack(rows: Any, old: Any, new_rows: Any, new: Any) -> None:
    """Write rows anew in other fields."""
    for row in range(len(rows)):
        new_rows[row, 0] = rows[row, 0]
        for field in range(len(old)):
            number = (rows[row, old[field, 0]] >> old[field, 1]) & old[field, 2]
            new_rows[row, new[field, 0]] |= number << new[field, 1]
