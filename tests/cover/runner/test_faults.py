"""Page faults as perf prints them."""

from __future__ import annotations

import pytest

from rmaplab.errors import InputError
from rmaplab.runner.faults import Fault, read_faults

#: Printed by perf 6.1: a write of the user's, one of the kernel's to user space, a read.
RECORDED = """\
              sh 32432 2026-11-23 04:24:36.090962   exceptions:page_fault_user: \
address=0x7f632031ce06 ip=0x7f63203047ad error_code=0x6
 Web Content (1)    77 2026-11-23 04:24:36.090872 exceptions:page_fault_kernel: \
address=0x558c7760e240 ip=elf_load error_code=0x2
              sh 32432 2026-11-23 04:24:36.090958   exceptions:page_fault_user: \
address=0x7f6320303b70 ip=0x7f6320303b70 error_code=0x14
"""


@pytest.fixture
def faults_of(tmp_path):
    def read(text: str):
        path = tmp_path / "faults"
        path.write_text(text)
        return read_faults(str(path))

    return read


def test_faults_come_in_the_order_of_time(faults_of) -> None:
    """1795407876 is 2026-11-23 04:24:36 UTC, says date -u -d @1795407876."""
    faults = faults_of(RECORDED)

    assert list(faults.due([32432, 77], 1795407877)) == [
        Fault(1795407876.090872, 77, 0x558C7760E240, write=True),
        Fault(1795407876.090958, 32432, 0x7F6320303B70, write=False),
        Fault(1795407876.090962, 32432, 0x7F632031CE06, write=True),
    ]


def test_a_fault_is_due_once_and_not_before_its_time(faults_of) -> None:
    faults = faults_of(RECORDED)

    assert [fault.pid for fault in faults.due([32432, 77], 1795407876.09096)] == [77, 32432]
    assert faults.left() == 1
    assert len(list(faults.due([32432], 1795407877))) == 1
    assert faults.left() == 0


def test_addresses_of_the_kernel_are_left_out(faults_of) -> None:
    line = RECORDED.splitlines()[0].replace("0x7f632031ce06", "0xffff888012345678")

    assert faults_of(f"{line}\n").left() == 0


@pytest.mark.parametrize(
    "line",
    ["nonsense", "", RECORDED.splitlines()[0].replace("11-23", "13-23"), RECORDED[:60]],
)
def test_a_line_that_is_not_perfs_is_refused(faults_of, line: str) -> None:
    with pytest.raises(InputError, match=r"faults:2: .*; record both logs with"):
        faults_of(f"{RECORDED.splitlines()[0]}\n{line}\n")


def test_faults_that_cannot_be_read_are_told(tmp_path) -> None:
    with pytest.raises(InputError, match="the faults cannot be read"):
        read_faults(str(tmp_path / "none"))
