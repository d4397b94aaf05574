"""Bad input, and kernels of the user's own: one line, or a verdict, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from command import refused, rmaplab

ROOT = Path(__file__).parents[2]

PATCH = """
from rmaplab.history import V2_6_38

class Same(V2_6_38):
    pass

class NoKernel:
    pass

class Raises(V2_6_38):
    def anon_vma_unlink(self, avc):
        return avc.no_such_field

class Asserts(V2_6_38):
    def anon_vma_unlink(self, avc):
        assert avc is None, "there is one"

class RaisesEarly(V2_6_38):
    def anon_vma_prepare(self, vma):
        return 1 // 0

class RaisesAtBoot(V2_6_38):
    def boot(self):
        raise ValueError("no boot")

class Exits(V2_6_38):
    def anon_vma_unlink(self, avc):
        raise SystemExit(0)

class Interrupted(V2_6_38):
    def anon_vma_unlink(self, avc):
        raise KeyboardInterrupt

class FollowsNull(V2_6_38):
    def anon_vma_unlink(self, avc):
        return avc.vma.vm_file.count

class StoresThroughNull(V2_6_38):
    def anon_vma_unlink(self, avc):
        avc.vma.vm_file.count = 1
"""


@pytest.fixture
def patch(tmp_path: Path) -> str:
    path = tmp_path / "mypatch.py"
    path.write_text(PATCH)
    return str(path)


@pytest.fixture
def litmus(tmp_path: Path) -> Any:
    """A function from the text of a litmus to its path."""

    def write(text: str, name: str = "x.litmus") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


class TestBadInput:
    @pytest.mark.parametrize(
        ("kernel", "said"),
        [
            ("v2.6.63", "did you mean one of v2.6.3"),
            ("nonsense", "there are v2.6.34, v2.6.35, root-lock, seed-v2, v2.6.36"),
            ("absent.py:Mine", "there is no file absent.py"),
            ("absent.py", "name the class too: absent.py:MyPatch"),
            (":Mine", "there is no file"),
        ],
    )
    def test_an_unknown_kernel(self, kernel: str, said: str) -> None:
        assert said in refused("check", "root-drops-itself", "--kernel", kernel)

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("import no_such_module", "ModuleNotFoundError"),
            ("def f(:", "SyntaxError"),
            ("raise SystemExit(0)", "SystemExit"),
            ("class Other: pass", "has no class `Mine`"),
            ("class Mine: pass", "is not a kernel"),
            ("Mine = 3", "is not a kernel"),
        ],
    )
    def test_a_kernel_file_that_is_none(self, tmp_path: Path, code: str, said: str) -> None:
        path = tmp_path / "bad.py"
        path.write_text(code)

        assert said in refused("check", "root-drops-itself", "--kernel", f"{path}:Mine")

    def test_an_unknown_litmus_has_a_suggestion(self) -> None:
        said = refused("check", "root-drop-itself")

        assert "root-drops-itself" in said
        assert "scan-against-exit" not in said

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"\xff\xfe\x00\x01" * 100, "is no text"),
            (b"litmus x\0", "is no text"),
            (b"litmus x\n" + b"#" * (1 << 20), "longer than 1 MiB"),
            (b"litmus x\nCPU0\n    A: mmap 0\n    A: mnumap 0\n", "x.litmus:4:8:"),
            (b"litmus x\nCPU0\n    A: pin 0\n", "in the set-up"),
            (b"litmus x\nconfig CONFIG_SMP=n\n", "CONFIG_SMP is not modelled"),
            (b"litmus x\nallow deadlock\n", "no run goes on after deadlock"),
            (b"litmus x\nend alive A\nexpect\n    v9.9.. clean\n", "no kernel `v9.9`"),
            (b'{"name": "x", "steps": 3}', "steps"),
            (b"{", "no JSON"),
        ],
    )
    def test_a_file_that_is_no_litmus(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "x.litmus"
        path.write_bytes(content)

        answer = refused("check", str(path))

        assert said in answer
        assert "x.litmus" in answer

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert "no such file" in refused("check", str(tmp_path / "x.litmus"))

    def test_a_directory(self, tmp_path: Path) -> None:
        assert "is a directory" in refused("check", str(tmp_path))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read(self, litmus: Any) -> None:
        path = litmus("litmus x\n")
        os.chmod(path, 0)

        assert "cannot be read: Permission denied" in refused("check", path)

    def test_two_files_with_one_name(self, litmus: Any) -> None:
        first, second = litmus("litmus x\n", "a.litmus"), litmus("litmus x\n", "b.litmus")

        assert "rename one" in refused("check", first, second)

    @pytest.mark.parametrize("switch", ["CONFIG_KSM=x", "CONFIG_KSM", "CONFIG_SMP=n", ""])
    def test_a_switch_that_is_none(self, switch: str) -> None:
        for command in ("check", "run"):
            said = refused(command, "root-drops-itself", "--config", switch)

            assert "write CONFIG_KSM=y|n" in said

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "either a LITMUS or --strace"),
            (("root-drops-itself", "--strace", "log"), "either a LITMUS or --strace"),
            (("root-drops-itself", "--verify"), "no observations"),
            (("root-drops-itself", "--touch", "all"), "--touch and --faults are for --strace"),
            (("root-drops-itself", "--faults", "f"), "--touch and --faults are for --strace"),
            (("--strace", "log", "--touch", "all", "--faults", "f"), "leave one of them out"),
            (("--strace", "log", "--touch", "most"), "write all, none, or a number"),
            (("--strace", "log", "--faults", "nowhere"), "the faults cannot be read"),
            (("--strace", "log", "--verify"), "leave them out"),
            (("--strace", "log", "--config", "CONFIG_KSM=n"), "leave them out"),
            (("--strace", "log"), "the log cannot be read"),
        ],
    )
    def test_options_of_run_that_do_not_go_together(
        self, words: tuple[str, ...], said: str
    ) -> None:
        assert said in refused("run", *words)

    def test_a_log_that_is_cut_off(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_bytes((ROOT / "tests/data/pipeline.strace").read_bytes()[:2000])

        assert "the log is cut off in this line" in refused("run", "--strace", str(log))

    @pytest.mark.parametrize(
        "words", [("nonsense",), ("check", "--jobs", "-1"), ("check", "--max-states", "0")]
    )
    def test_what_the_option_parser_refuses(self, words: tuple[str, ...]) -> None:
        assert rmaplab(*words).exit_code == 2


class TestOnesOwnKernel:
    def test_one_that_changes_nothing_is_as_its_base(self, patch: str) -> None:
        done = rmaplab("check", "root-drops-itself", "--kernel", f"{patch}:Same")

        assert done.exit_code == 0

    @pytest.mark.parametrize(
        ("name", "error", "line"),
        [
            ("Raises", "AttributeError: ", 12),
            ("Asserts", "AssertionError: there is one", 16),
        ],
    )
    def test_one_that_raises_is_a_bug_with_its_place(
        self, patch: str, name: str, error: str, line: int
    ) -> None:
        done = rmaplab("check", "root-drops-itself", "--kernel", f"{patch}:{name}")

        assert done.exit_code == 1
        assert done.stdout.startswith(f"kernel BUG at mypatch.py:{line}!\n{error}")
        assert "verdict: bug-on, expected clean" in done.stdout

    @pytest.mark.parametrize(("name", "line"), [("FollowsNull", 36), ("StoresThroughNull", 40)])
    def test_one_that_goes_through_null_is_a_null_pointer_dereference(
        self, patch: str, name: str, line: int
    ) -> None:
        done = rmaplab("check", "root-drops-itself", "--kernel", f"{patch}:{name}")

        assert done.exit_code == 1
        heading, message, *_ = done.stdout.splitlines()
        assert heading.startswith("BUG: unable to handle kernel NULL pointer dereference in ")
        assert message == f"NULL pointer dereference: ->count at mypatch.py:{line}"
        assert "verdict: bug-on, expected clean" in done.stdout

    @pytest.mark.parametrize(("name", "line"), [("RaisesEarly", 20), ("RaisesAtBoot", 24)])
    def test_one_that_raises_in_the_set_up(self, patch: str, name: str, line: int) -> None:
        done = rmaplab("check", "root-drops-itself", "--kernel", f"{patch}:{name}")

        assert done.exit_code == 1
        assert "in the set-up: " in done.stdout
        assert f"at mypatch.py:{line}" in done.stdout

    @pytest.mark.parametrize("name", ["Raises", "Asserts", "RaisesEarly", "RaisesAtBoot"])
    def test_one_that_raises_when_run_in_order(self, patch: str, name: str) -> None:
        done = rmaplab("run", "root-drops-itself", "--kernel", f"{patch}:{name}")

        assert done.exit_code == 1
        assert "bug-on in step" in done.stdout
        assert "at mypatch.py:" in done.stdout

    @pytest.mark.parametrize("command", ["check", "run"])
    def test_one_that_calls_exit_is_no_pass(self, patch: str, command: str) -> None:
        assert "sys.exit(0)" in refused(command, "root-drops-itself", "--kernel", f"{patch}:Exits")

    @pytest.mark.parametrize("command", ["check", "run"])
    def test_an_interruption_within_kernel_code_ends_with_130(
        self, patch: str, command: str
    ) -> None:
        done = rmaplab(command, "root-drops-itself", "--kernel", f"{patch}:Interrupted")

        assert done.exit_code == 130
        assert "interrupted" in done.stderr
