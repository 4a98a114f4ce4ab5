"""Native code that crashes takes its child process with it, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import MissingError, StageCrashed
from toolkit.isolation import Worker

HERE = "tests.isolation_targets:"


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    """A child for the calls that leave it well."""
    with Worker("the stage") as worker:
        yield worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A child of one's own, to crash."""
    with Worker("the stage") as worker:
        yield worker


def crash(worker: Worker, target: str, **options: Any) -> StageCrashed:
    with pytest.raises(StageCrashed) as caught:
        worker.call(f"{HERE}{target}", **options)
    return caught.value


def test_options_come_back_as_json_holds_them(shared: Worker) -> None:
    options = {"text": "é\n", "number": 1.5, "none": None, "list": [1, {"a": True}]}
    assert shared.call(f"{HERE}echo", **options).value == options


def test_a_child_that_has_begun_answers_the_next_call_with_its_own_answer(worker: Worker) -> None:
    worker.begin(f"{HERE}echo", begun=True)
    assert worker.call(f"{HERE}echo", number=1).value == {"number": 1}


@pytest.mark.parametrize("begun", ["divides", "aborts"])
def test_what_came_of_the_beginning_is_told_only_where_the_child_died(
    worker: Worker, begun: str
) -> None:
    worker.begin(f"{HERE}{begun}")
    if begun == "aborts":
        crash(worker, "echo")
    assert worker.call(f"{HERE}echo", number=1).value == {"number": 1}


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back_as_they_went(shared: Worker, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(numpy_dtype(dtype))
    back = shared.call(f"{HERE}echo", {"x": np.asarray(array)}).arrays["x"]
    assert (back.dtype, back.shape) == (array.dtype, shape)
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.arange(9)[::-2],
        np.broadcast_to(np.float32(2), (3, 4)),
        np.zeros((1 << 20) + 1),
    ],
    ids=["transposed", "strided", "broadcast", "larger than a pipe"],
)
def test_arrays_of_any_layout_and_size_come_back(shared: Worker, array: np.ndarray) -> None:
    back = shared.call(f"{HERE}echo", {"x": array}).arrays["x"]
    np.testing.assert_array_equal(back, array)


def test_many_arrays_keep_their_names(shared: Worker) -> None:
    arrays = {f"x.{i}": np.full(i, i) for i in range(5)}
    back = shared.call(f"{HERE}echo", arrays).arrays
    assert {name: a.tolist() for name, a in back.items()} == {
        name: a.tolist() for name, a in arrays.items()
    }


def test_one_child_serves_all_calls(shared: Worker) -> None:
    first, second = (shared.call(f"{HERE}process").value for _ in range(2))
    assert first == second


def test_an_error_of_ours_crosses_with_its_type_and_hint(shared: Worker) -> None:
    with pytest.raises(MissingError) as caught:
        shared.call(f"{HERE}lacks")
    assert (caught.value.message, caught.value.hint) == ("no such device", "buy one")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("divides", "the stage failed: ZeroDivisionError: by zero"),
        ("no_such_function", "the stage failed: AttributeError"),
    ],
)
def test_another_exception_is_named(shared: Worker, target: str, message: str) -> None:
    assert message in crash(shared, target).message


def test_the_child_outlives_an_exception(shared: Worker) -> None:
    before = shared.call(f"{HERE}process").value
    crash(shared, "divides")
    assert shared.call(f"{HERE}process").value == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("aborts", "the stage crashed (SIGABRT)"),
        ("ends", "the stage crashed (exit code 7)"),
        ("is_killed", "the stage ran out of memory"),  # what Linux does then
    ],
)
def test_a_child_that_dies_says_how(worker: Worker, target: str, message: str) -> None:
    assert crash(worker, target).message == message


def test_the_hint_of_a_crash_is_the_last_line_printed(worker: Worker) -> None:
    assert crash(worker, "aborts", says="one\nAssertion failed: n > 0").hint == (
        "Assertion failed: n > 0"
    )


def test_a_call_that_takes_too_long_is_stopped(worker: Worker) -> None:
    assert crash(worker, "waits", timeout=0.5).message == (
        "the stage took longer than 0.5 s and was stopped"
    )


@pytest.mark.parametrize(("target", "timeout"), [("aborts", None), ("waits", 0.5)])
def test_the_next_call_after_a_crash_works(
    worker: Worker, target: str, timeout: float | None
) -> None:
    crash(worker, target, timeout=timeout)
    assert worker.call(f"{HERE}echo", n=1).value == {"n": 1}


@pytest.mark.parametrize("target", ["python_memory", "numpy_memory"])
def test_a_child_over_its_memory_says_so(target: str) -> None:
    with Worker("the stage", memory=1 << 31) as worker:
        assert crash(worker, target).message == (
            "the stage ran out of memory (its limit is 2.0 GiB)"
        )


def test_a_crash_is_not_blamed_on_what_an_earlier_call_printed(worker: Worker) -> None:
    worker.call(f"{HERE}prints", text="caught a MemoryError, went on\n")
    assert crash(worker, "aborts").message == "the stage crashed (SIGABRT)"


def test_what_the_child_prints_goes_to_its_log(tmp_path: Path) -> None:
    with Worker("the stage", log=tmp_path / "log") as worker:
        reply = worker.call(f"{HERE}prints", {"x": np.ones(3)}, text="hello\n")
    assert reply.value == "hello\n"
    assert reply.arrays["x"].tolist() == [1, 1, 1]
    assert (tmp_path / "log").read_text() == "hello\n" * 3


def test_leaving_the_block_ends_the_child() -> None:
    with Worker("the stage") as worker:
        worker.call(f"{HERE}process")
        assert worker.alive
    assert not worker.alive
