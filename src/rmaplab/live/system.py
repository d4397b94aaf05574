"""The running Linux with the processes of a litmus: steps, and what root sees after each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from types import TracebackType

from rmaplab.live.fragments import Ballast, compact
from rmaplab.live.frames import FrameFiles, frames_behind, slots_of
from rmaplab.live.knobs import Knobs
from rmaplab.live.ksmd import Ksmd
from rmaplab.live.memory import BASE, MADV_UNMERGEABLE, PAGE_SIZE, WINDOW, Memory, address_of
from rmaplab.live.process import Family, Process
from rmaplab.live.smaps import MERGEABLE, Vma, read_vmas, sums
from rmaplab.runner.observation import (
    UNREADABLE,
    Frames,
    Mapped,
    Observation,
    Slot,
    changed,
    contents_seen,
    frames_by_process,
    pages_and_frames,
    ret_of,
)

#: How often a page is given another frame to get a low one, or memory is fragmented to move it.
TRIES = 16
END = BASE + WINDOW * PAGE_SIZE
#: Counters that go on from run to run. ksm_zero_pages should not, but a 6.18 was seen to have some
#: left when every process had ended.
NEVER_RESET = ("pages_skipped", "ksm_zero_pages")
#: The fields of an observation, by the names that ksm_stat has for them.
KSM_STAT = {"rmap_items": "ksm_rmap_items", "zero_pages": "ksm_zero_pages",
            "merging_pages": "ksm_merging_pages"}  # fmt: skip


class LiveSystem(Memory):
    """Operations are methods, as of runner.system.System. All processes end with it."""

    def __init__(self, processes: tuple[str, ...], knobs: Knobs) -> None:
        self._stack = ExitStack()
        super().__init__(self._stack.enter_context(Family()))
        self.files = FrameFiles.opened()
        self._stack.callback(self.files.close)
        self.knobs = knobs
        self.ksmd = Ksmd(knobs)
        self._start = {name: knobs.number(name) for name in NEVER_RESET}
        self.ballasts: list[Ballast] = []
        self._merging: set[str] = set()
        self._low: set[int] = set()
        self._low_pages = range(0)
        with ExitStack() as started:
            started.callback(self.close)
            for name in processes:
                self.family.start(name)
            for name in processes:
                self._call(name, "getpid")  # its interpreter is ready then
            started.pop_all()

    def __enter__(self) -> LiveSystem:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for ballast in self.ballasts:
            ballast.close()
        self._stack.close()

    # Processes

    def fork(self, p: str, child: str) -> int:
        """The child is a copy."""
        forked = self.family.members[p].fork()
        if not isinstance(forked, Process):
            return forked
        self.family.members[child] = forked
        if p in self._merging:
            self._merging.add(child)
        return 0

    def exit(self, p: str) -> int:
        """The process ends; its memory is gone then."""
        self.family.end(p)
        self._merging.discard(p)
        return 0

    def prctl_merge(self, p: str, on: bool) -> int:
        """PR_SET_MEMORY_MERGE; the interpreter's own memory is kept out of it."""
        ret = super().prctl_merge(p, on)
        if on and not ret:
            self._merging.add(p)
        return ret

    def write(
        self,
        p: str,
        at: int,
        n: int = 1,
        c: int = 0,
        cs: tuple[int, ...] = (),
        low: bool = False,
    ) -> int:
        """Fill pages with words; `low` asks for low frames, of the ballast."""
        if not low or not self.ballasts:
            return super().write(p, at, n, c, cs)
        pages = range(at, at + n)
        fresh = not self._frames(pages)[p]
        ret = 0
        for number in range(TRIES):
            if number:
                self.madvise(p, at, n, "dontneed")
            given = self.ballasts[-1].give_low(n)
            ret = super().write(p, at, n, c, cs)
            self._low = set(self._frames(pages)[p].values())
            self._low_pages = pages
            if ret or not fresh or self._low <= given:
                break
        return ret

    # The machine

    def scan(self, k: int = 1) -> int:
        """Exactly k passes of ksmd."""
        self._keep_interpreters_out()
        return next((error for _ in range(k) if (error := self.ksmd.one_pass())), 0)

    def unmerge_all(self) -> int:
        """run = 2, then 0."""
        return self.ksmd.unmerge_all()

    def set(self, knob: str, value: int) -> int:
        """Write a knob of KSM."""
        return self.ksmd.set(knob, value)

    def ballast(self) -> int:
        """Fragment memory."""
        self.ballasts.append(Ballast())
        return 0

    def compact(self) -> int:
        """Compact all memory; with a ballast, until what was written `low` is elsewhere."""
        ret = compact()
        for _ in range(TRIES):
            behind = self._frames(self._low_pages).values()
            if not any(self._low & set(frames.values()) for frames in behind):
                break
            self.ballast()
            ret = compact()
        return ret

    def _keep_interpreters_out(self) -> None:
        """What is not of the litmus is not to be merged, whatever prctl_merge says."""
        for name in self._merging:
            process = self.family.members[name]
            for vma in read_vmas(process.proc("smaps"), 0, 1 << 64):
                if MERGEABLE in vma.flags and not BASE <= vma.start < END:
                    process.call("madvise", vma.start, vma.end - vma.start, MADV_UNMERGEABLE)

    # What root sees

    def mapped(self, watched: tuple[int, ...]) -> Mapped:
        """What the processes map in these slots."""
        behind = self._frames(watched)
        frames, zero = self.files.frames(pfn for each in behind.values() for pfn in each.values())
        return Mapped(list(behind), watched, slots_of(behind, zero), frames)

    def _frames(self, pages: Iterable[int]) -> Frames:
        """By process: the frame behind each of these pages."""
        numbers = {page: address_of(page) // PAGE_SIZE for page in pages}
        return {
            name: frames_behind(process.proc("pagemap"), numbers)
            for name, process in self.family.members.items()
        }

    def observe(self, watched: tuple[int, ...], before: Frames, ret: int) -> Observation:
        """The state after a step that returned `ret`; `before` are the frames before it."""
        mapped = self.mapped(watched)
        vmas = {name: self._vmas(process, watched) for name, process in self._processes()}
        return {
            "ret": ret_of(ret),
            **pages_and_frames(mapped),
            "bytes": contents_seen(mapped, self._label),
            "changed": changed(before, frames_by_process(mapped)),
            "ksm": self._counters(),
            "vmas": {name: [_vma(vma) for vma in own] for name, own in vmas.items()},
            "smaps": {name: sums(own) for name, own in vmas.items()},
            "proc_ksm": {name: _ksm_stat(process) for name, process in self._processes()},
        }

    def _processes(self) -> list[tuple[str, Process]]:
        return list(self.family.members.items())

    def _label(self, slot: Slot) -> str:
        held = self.label(self.family.members[slot.process], slot.number)
        return UNREADABLE if held is None else str(held)

    def _vmas(self, process: Process, watched: tuple[int, ...]) -> list[Vma]:
        addresses = [address_of(number) for number in watched]
        vmas = read_vmas(process.proc("smaps"), BASE, END)
        return [vma for vma in vmas if any(map(vma.holds, addresses))]

    def _counters(self) -> dict[str, int]:
        counters = self.knobs.counters()
        return {name: count - self._start.get(name, 0) for name, count in counters.items()}


def _vma(vma: Vma) -> list[object]:
    first, count = (vma.start - BASE) // PAGE_SIZE, (vma.end - vma.start) // PAGE_SIZE
    run: list[object] = [first, count, vma.protection]
    return [*run, MERGEABLE] if MERGEABLE in vma.flags else run


def _ksm_stat(process: Process) -> dict[str, int]:
    told: dict[str, str] = {}
    with suppress(FileNotFoundError):  # of kernels before 6.1
        lines = process.proc("ksm_stat").read_text().splitlines()
        told = dict(line.replace(":", " ").split(maxsplit=1) for line in lines)
    return {field: int(told.get(name, 0)) for field, name in KSM_STAT.items()}
