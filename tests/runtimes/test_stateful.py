"""Sessions that hold values from one step to the next: what is held is what would have come out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtimes.onnxruntime import OnnxRuntime
from runtimes.pytorch import PyTorch
from runtimes.reference import Reference
from tests.graphs import saved
from toolkit import source
from toolkit.artifact import OnnxArtifact
from toolkit.errors import InputError
from toolkit.plugins import Held, Session, Stateful

SIGNATURE = """
    x: float32[batch, tokens, 2]
    ids: int64[batch, tokens]
    old_x: float32[batch, past, 2]
    old_ids: int64[batch, past]
    where batch = 1..8, tokens = 1..4, past = 0..8
    -> total: float32[batch, 2]
    -> new_x: float32[batch, length, 2]
    -> new_ids: int64[batch, length]
"""
GRAPH = """
    (float[batch, tokens, 2] x, int64[batch, tokens] ids,
     float[batch, past, 2] old_x, int64[batch, past] old_ids)
    => (float[batch, 2] total, float[batch, length, 2] new_x, int64[batch, length] new_ids) {
        new_x = Concat<axis = 1>(old_x, x)
        new_ids = Concat<axis = 1>(old_ids, ids)
        total = ReduceSum<keepdims = 0>(new_x, axis)
    }
"""
HELD = ("new_x", "new_ids")
RNG = np.random.default_rng(0)
X: np.ndarray = RNG.standard_normal((3, 4, 2)).astype(np.float32)
IDS: np.ndarray = RNG.integers(-(2**40), 2**40, (3, 4))
START = {"old_x": X[:, :0], "old_ids": IDS[:, :0]}
START_OF_TWO = {name: array[:2] for name, array in START.items()}


class Growing(nn.Module):
    """Appends what comes to what was there, and sums all of it."""

    def forward(self, x: Tensor, ids: Tensor, old_x: Tensor, old_ids: Tensor) -> dict[str, Tensor]:
        new_x = torch.cat((old_x, x), dim=1)
        return {"total": new_x.sum(1), "new_x": new_x, "new_ids": torch.cat((old_ids, ids), dim=1)}


class StatefulSession(Session, Stateful, Protocol):
    """Both at once."""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> OnnxArtifact:
    path: Path = tmp_path_factory.mktemp("stateful") / "m.onnx"
    return saved(path, GRAPH, SIGNATURE, axis=np.array([1]))


@pytest.fixture(scope="module", params=["pytorch", "onnxruntime"])
def session(request: pytest.FixtureRequest, artifact: OnnxArtifact) -> StatefulSession:
    if request.param == "pytorch":
        return PyTorch().load(source.load((Growing(), SIGNATURE)), "cpu")
    return OnnxRuntime().load(artifact, "cpu")


def started(session: StatefulSession) -> dict[str, Held]:
    """What is held after all tokens, under the names that the next step takes."""
    _, held = session.step({"x": X, "ids": IDS, **START}, {}, HELD)
    return {name.replace("new", "old"): value for name, value in held.items()}


def shown(session: StatefulSession, state: dict[str, Held], rows: int) -> dict[str, np.ndarray]:
    """Held values as arrays: a step of no token leaves them as they are."""
    nothing: dict[str, np.ndarray] = {
        "x": np.zeros((rows, 0, 2), np.float32),
        "ids": np.zeros((rows, 0), np.int64),
    }
    arrays, _ = session.step(nothing, state, ())
    return {name: arrays[name] for name in HELD}


def test_a_session_is_stateful(session: StatefulSession) -> None:
    assert isinstance(session, Stateful)


def test_a_session_that_has_only_run_is_not(artifact: OnnxArtifact) -> None:
    assert not isinstance(Reference().load(artifact, "cpu"), Stateful)


def test_a_step_that_keeps_nothing_is_a_run(session: StatefulSession) -> None:
    feeds = {"x": X, "ids": IDS, **START}
    arrays, held = session.step(feeds, {}, ())
    assert held == {}
    np.testing.assert_equal(arrays, session.run(feeds))


@pytest.mark.parametrize("keep", [("new_x",), ("new_ids",), HELD, ("total", *HELD)])
def test_outputs_are_held_or_arrays_and_never_both(
    session: StatefulSession, keep: tuple[str, ...]
) -> None:
    arrays, held = session.step({"x": X, "ids": IDS, **START}, {}, keep)
    assert set(held) == set(keep)
    assert set(arrays) == {"total", *HELD} - set(keep)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert not any(isinstance(value, np.ndarray) for value in held.values())


def test_what_is_held_is_what_a_run_gives(session: StatefulSession) -> None:
    expected = session.run({"x": X, "ids": IDS, **START})
    found = shown(session, started(session), 3)
    np.testing.assert_equal(found, {name: expected[name] for name in HELD})


def test_held_values_feed_the_next_step(session: StatefulSession) -> None:
    """Token by token comes to what all of them at once come to."""
    feeds, state = {"x": X[:, :1], "ids": IDS[:, :1], **START}, dict[str, Held]()
    for at in range(1, 5):
        arrays, held = session.step(feeds, state, HELD)
        feeds = {"x": X[:, at : at + 1], "ids": IDS[:, at : at + 1]}
        state = {name.replace("new", "old"): value for name, value in held.items()}
    np.testing.assert_allclose(arrays["total"], X.sum(1), atol=1e-6)
    np.testing.assert_equal(shown(session, state, 3), {"new_x": X, "new_ids": IDS})


def test_a_held_value_outlives_the_steps_that_it_feeds(session: StatefulSession) -> None:
    state = started(session)
    for _ in range(3):
        session.step({"x": X + 1, "ids": IDS + 1}, state, HELD)
    np.testing.assert_equal(shown(session, state, 3), {"new_x": X, "new_ids": IDS})


CHOICES = pytest.mark.parametrize(
    "rows",
    [[0, 1, 2], [2, 0, 1], [0, 0, 1, 1, 2, 2], [1, 1, 1], [2], [0, 2]],
    ids=["all", "reordered", "each repeated", "one repeated", "one", "fewer"],
)


@CHOICES
def test_rows_of_held_values_are_chosen_as_numpy_does(
    session: StatefulSession, rows: list[int]
) -> None:
    """Of floats, and of integers that no float could hold."""
    chosen = session.select(started(session), np.array(rows))
    expected = {"new_x": X[rows], "new_ids": IDS[rows]}
    np.testing.assert_equal(shown(session, chosen, len(rows)), expected)


@CHOICES
def test_rows_of_values_without_elements_are_chosen_too(
    session: StatefulSession, rows: list[int]
) -> None:
    _, held = session.step({"x": X[:, :0], "ids": IDS[:, :0], **START}, {}, HELD)
    state = {name.replace("new", "old"): value for name, value in held.items()}
    chosen = session.select(state, np.array(rows))
    expected = {"new_x": X[rows, :0], "new_ids": IDS[rows, :0]}
    np.testing.assert_equal(shown(session, chosen, len(rows)), expected)


def test_what_was_chosen_from_is_left_as_it_was(session: StatefulSession) -> None:
    state = started(session)
    session.select(state, np.array([2, 2, 2]))
    np.testing.assert_equal(shown(session, state, 3), {"new_x": X, "new_ids": IDS})


def test_rows_of_no_values_are_no_values(session: StatefulSession) -> None:
    assert session.select({}, np.arange(2)) == {}


def test_a_feed_without_elements_is_taken(session: StatefulSession) -> None:
    arrays, _ = session.step({"x": X[:, :0], "ids": IDS[:, :0], **START}, {}, ())
    assert {name: array.shape for name, array in arrays.items()} == {
        "total": (3, 2),
        "new_x": (3, 0, 2),
        "new_ids": (3, 0),
    }


def test_a_feed_need_not_lie_in_one_piece(session: StatefulSession) -> None:
    """Every other row from the end: a view with negative strides."""
    arrays, _ = session.step({"x": X[::-2], "ids": IDS[::-2], **START_OF_TWO}, {}, ())
    np.testing.assert_array_equal(arrays["new_ids"], IDS[::-2])


def test_a_step_that_does_not_fit_is_refused(session: StatefulSession) -> None:
    with pytest.raises(InputError):
        session.step({"x": X[:2], "ids": IDS[:2]}, started(session), HELD)
