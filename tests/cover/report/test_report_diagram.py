"""The two-column table: nesting, folding, narrow columns."""

from __future__ import annotations

import pytest

from rmaplab.checker.verdict import Access, Frame, TraceStep, Violation
from rmaplab.report.diagram import action_lines, diagram


def step(call, action="store", where="page#1.mapping", cpu=0, before="a", after="b", task="A"):
    obj, _, field = where.rpartition(".") if "." in where else (where, "", "")
    return TraceStep(cpu, task, call, action, obj, field, before, after, "kernel/rmap.py:1")


def drawn(*trace, width=100, keep=None, kind="wrong-data", accesses=()):
    return diagram(Violation(kind, "", trace, accesses), width, keep)


def test_no_trace_is_no_table():
    assert drawn() == []


def test_a_function_is_shown_when_it_is_entered():
    assert drawn(step("f"), step("f > g"), step("f > g"), step("f"), step("h")) == [
        "     CPU0 (A)",
        "     ----",
        "     f()",
        "  1    store(page#1.mapping) a -> b",
        "       g()",
        "  2      store(page#1.mapping) a -> b",
        "  3      store(page#1.mapping) a -> b",
        "  4    store(page#1.mapping) a -> b",
        "     h()",
        "  5    store(page#1.mapping) a -> b",
        "     *** WRONG-DATA ***",
    ]


def test_a_cpu_keeps_its_place_while_another_runs():
    lines = drawn(step("f"), step("g", cpu=1, task="B"), step("f"))

    assert [line.strip() for line in lines].count("f()") == 1


def test_a_second_task_on_a_cpu_starts_anew_and_says_who_it_is():
    lines = drawn(step("f"), step("f", task="B"))

    assert lines[0] == "     CPU0 (A, B)"
    assert [line.strip() for line in lines if "f()" in line] == ["f()  [A]", "f()  [B]"]


def test_a_deep_chain_keeps_its_system_call_and_its_two_innermost_functions():
    deep = " > ".join("abcdefgh")

    lines = drawn(step(deep), step("a > b > c"), step(deep, cpu=1), width=80)

    assert [line[5:] for line in lines[2:6]] == ["a()", "  ...", "    g()", "      h()"]
    assert [line[5:] for line in lines[7:9]] == ["  b() (cont.)", "    c() (cont.)"]


def test_equal_names_under_different_callers_are_different_calls():
    lines = drawn(step("a > b > c > d > e > y > z"), step("a > q > c > d > e > y > z"), width=30)

    assert sum("y()" in line for line in lines) == 2


class TestFolding:
    """Loads that decide nothing are not shown."""

    last = step("f", where="anon_vma#1.lock", action="spin_lock", before="", after="")

    def test_loads_of_other_objects_are_counted_not_drawn(self):
        other = step("f", "load", "page#7.index", before="3", after="3")

        lines = drawn(other, other, self.last)

        assert lines[-1] == "(2 loads not shown)"
        assert not any("page#7" in line for line in lines)

    @pytest.mark.parametrize(
        "kept",
        [
            step("f", "load", "anon_vma#1.root", before="x", after="x"),
            step("f", "load", "avc#1.anon_vma", before="anon_vma#1", after="anon_vma#1"),
            step("f", "list_empty", "anon_vma#9.head", before="()", after="()"),
            step("f", "load", "page#7.index", before="3", after="4"),
        ],
        ids=["of the object", "of a pointer to it", "a test", "a change"],
    )
    def test_what_matters_stays(self, kept):
        assert not any("not shown" in line for line in drawn(kept, self.last))

    def test_the_last_step_is_shown_though_it_is_a_load(self):
        lines = drawn(step("f", "load", "page#7.index", before="3", after="3"))

        assert "  1    load(page#7.index) = 3" in lines

    def test_keep_decides_what_is_shown_and_the_rest_is_called_steps(self):
        lines = drawn(step("f"), step("f"), self.last, keep=lambda each: False)

        assert lines[-1] == "(2 steps not shown)"
        assert "  3    spin_lock(anon_vma#1.lock)" in lines


class TestColumns:
    """Any number of CPUs in any width."""

    @pytest.mark.parametrize("width", [20, 60, 80, 100, 120])
    @pytest.mark.parametrize("cpus", [1, 2, 3, 5, 8])
    def test_every_step_is_there(self, cpus, width):
        trace = [step("exit_mmap > unlink_anon_vmas", cpu=cpu) for cpu in range(cpus)]

        text = "\n".join(drawn(*trace, width=width))

        assert cpus == text.count("store(")
        assert all(f"CPU{cpu}" in text for cpu in range(cpus))

    @pytest.mark.parametrize("cpus", [1, 2, 3, 4])
    def test_no_line_is_wider_than_asked(self, cpus):
        wide = "stable_node#12|ANON|KSM with more behind it than any column has room for"
        call = "ksm_do_scan > cmp_and_merge_page > stable_tree_insert"
        trace = [step(call, cpu=cpu, before=wide, after=wide + "!") for cpu in range(cpus)]

        assert max(map(len, drawn(*trace, width=100))) <= 100

    def test_a_long_task_goes_under_its_cpu_when_columns_are_tight(self):
        trace = [step("f", cpu=cpu, task="kcompactd0") for cpu in range(6)]

        lines = drawn(*trace, width=90)

        assert lines[0].split() == ["CPU0", "CPU1", "CPU2", "CPU3", "CPU4", "CPU5"]
        assert len(lines[1].split()) == 6


class TestDeadlock:
    """What waits never happens, and is yet the point of the drawing."""

    held = step("f", "spin_lock", "a#1.lock", before="", after="")
    waits = Access(0, "A", "spin_lock", "b#1", "lock", (), (Frame("g", "x:1"), Frame("f", "x:2")))

    def test_a_waiting_action_missing_from_the_trace_is_added(self):
        lines = drawn(self.held, kind="deadlock", accesses=(self.waits,))

        assert "  2      spin_lock(b#1.lock)  <-- waits" in lines
        assert lines[-1] == " *** DEADLOCK ***"

    def test_one_that_is_there_is_only_marked(self):
        there = step("f > g", "spin_lock", "b#1.lock", before="", after="")

        lines = drawn(self.held, there, kind="deadlock", accesses=(self.waits,))

        assert sum("b#1.lock" in line for line in lines) == 1
        assert any(line.endswith("<-- waits") for line in lines)


class TestActions:
    """One action in the room there is."""

    drop = step("f", "atomic_dec", "anon_vma#1.external_refcount", before="0", after="-1")

    @pytest.mark.parametrize(
        ("width", "lines"),
        [
            (60, ["atomic_dec(anon_vma#1.external_refcount) 0 -> -1"]),
            (45, ["atomic_dec(anon_vma#1.external_refcount)", "  0 -> -1"]),
            (30, ["atomic_dec(anon_vma#1)", "  external_refcount 0 -> -1"]),
            (24, ["atomic_dec(anon_vma#1)", "  external_refcount 0 ->", "    -1"]),
        ],
    )
    def test_the_change_moves_down_when_there_is_no_room(self, width, lines):
        assert lines == action_lines(self.drop, width)

    def test_without_a_change_the_place_moves_down(self):
        lock = step("f", "spin_lock", "a_long_object#1.and_its_lock", before="x", after="y")

        assert action_lines(lock, 34) == ["spin_lock(", "    a_long_object#1.and_its_lock)"]

    @pytest.mark.parametrize(
        ("action", "before", "after", "shown"),
        [
            ("spin_lock", "None", "0", ""),
            ("unlock_bit", "0", "None", ""),
            ("down_read", "-", "0", ""),
            ("spin_trylock", "None", "0", " None -> 0"),
            ("atomic_read", "1", "1", " = 1"),
            ("list_empty", "()", "()", " = ()"),
            ("store", "1", "1", ""),
            ("atomic_dec", "0", "", " (was 0)"),
            ("store", "", "1", " -> 1"),
        ],
    )
    def test_values_are_shown_where_the_name_does_not_tell_them(self, action, before, after, shown):
        one = step("f", action, "a#1.x", before=before, after=after)

        assert [f"{action}(a#1.x){shown}"] == action_lines(one, 80)

    def test_an_action_may_touch_nothing(self):
        one = step("f", "rcu_read_lock", "", before="", after="")

        assert action_lines(one, 80) == ["rcu_read_lock()"]
