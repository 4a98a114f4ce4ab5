"""A call in a copy of this process: what it sees, and what ends with it."""

import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit import forked
from toolkit.errors import ExportRefused, StageCrashed


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_it_sees_objects_that_cannot_be_sent(log: Path) -> None:
    assert forked.call("it", lambda: {"sum": [1, 2]}, log=log) == {"sum": [1, 2]}


def test_it_is_another_process_and_changes_nothing_here(log: Path) -> None:
    seen: list[int] = []
    assert forked.call("it", lambda: seen.append(1) or os.getpid(), log=log) != os.getpid()
    assert seen == []


def test_torch_computes_in_it_though_it_has_computed_here_with_threads(log: Path) -> None:
    x = torch.ones(512, 512)
    torch.mm(x, x)
    assert forked.call("it", lambda: float(torch.mm(x, x)[0, 0]), log=log, timeout=60.0) == 512


def test_this_process_works_a_step_at_a_time_until_the_answer_is_there(log: Path) -> None:
    steps: list[int] = []

    def work() -> Iterator[None]:
        while True:
            steps.append(torch.get_num_threads())
            time.sleep(0.01)
            yield

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert forked.call("it", lambda: time.sleep(0.1) or 7, log=log, meanwhile=work()) == 7
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert 1 < len(steps) < 100
    assert set(steps) == {1}  # a core is left to the copy


def test_the_time_runs_out_while_this_process_works(log: Path) -> None:
    slow = iter(lambda: time.sleep(0.01), 0)
    with pytest.raises(StageCrashed, match="longer than"):
        forked.call("it", lambda: time.sleep(60), log=log, timeout=0.2, meanwhile=slow)


def test_what_goes_wrong_here_meanwhile_ends_the_copy_too(log: Path) -> None:
    def work() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forked.call("it", lambda: time.sleep(60), log=log, meanwhile=work())


class _Waits:
    """Like an inference session: its end waits for threads that are not in the copy."""

    def __init__(self) -> None:
        self.itself, self.home = self, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.home:
            time.sleep(60)


def test_garbage_of_this_process_is_not_collected_in_it(log: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        _Waits()
        assert forked.call("it", gc.collect, log=log, timeout=10.0) >= 0
    finally:
        gc.enable()
        gc.collect()


def test_a_long_answer_comes_whole(log: Path) -> None:
    assert len(forked.call("it", lambda: "x" * 1_000_000, log=log)) == 1_000_000


def test_what_it_prints_goes_to_the_log(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    forked.call("it", lambda: os.system("echo natively") and None, log=log)
    forked.call("it", lambda: print("and by Python"), log=log)
    assert log.read_text() == "natively\nand by Python\n"
    assert capfd.readouterr().out == ""


def test_an_error_of_ours_crosses_with_what_it_carries(log: Path) -> None:
    def refuse() -> None:
        error = ExportRefused("no", "narrow it")
        error.limits = {"batch": [4, 64]}
        raise error

    with pytest.raises(ExportRefused, match="no") as caught:
        forked.call("it", refuse, log=log)
    assert (caught.value.hint, caught.value.limits) == ("narrow it", {"batch": [4, 64]})


def _divide() -> float:
    return 1 / 0


def _segfault() -> Any:
    return ctypes.string_at(0)


def _allocate() -> int:
    return len(bytearray(1 << 30))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (_divide, {}, "^it failed: ZeroDivisionError"),
        (_segfault, {}, r"^it crashed \(SIGSEGV\)"),
        (lambda: os._exit(3), {}, r"^it crashed \(exit code 3\)"),
        (lambda: time.sleep(60), {"timeout": 0.2}, "^it took longer than 0.2 s"),
        (_allocate, {"memory": 1 << 28}, "^it ran out of memory"),
    ],
    ids=["foreign error", "crash", "exit", "hang", "memory"],
)
def test_its_end_is_an_error_and_not_ours(
    function: Callable[[], Any], options: dict[str, Any], message: str, log: Path
) -> None:
    with pytest.raises(StageCrashed, match=message):
        forked.call("it", function, log=log, **options)


def test_the_whole_traceback_is_in_the_log(log: Path) -> None:
    with pytest.raises(StageCrashed):
        forked.call("it", _divide, log=log)
    assert "in _divide" in log.read_text()
