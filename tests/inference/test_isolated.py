"""A session in a child process: it answers as one in this process, and outlives its child."""

import os
import signal
from collections.abc import ItemsView, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import toolkit
from tests.graphs import saved
from toolkit.artifact import OnnxArtifact
from toolkit.errors import InputError, MissingError, NotLoadable, StageCrashed
from toolkit.inference.isolated import IsolatedSession

GRAPH = """
    (float[n, 3] x, bool flag) => (float[n, 3] y, bool[n, 3] large) <float one = {1}> {
        y = Add(x, x)
        found = Greater(y, one)
        large = And(found, flag)
    }
"""
SIGNATURE = (
    "x: float32[n, 3]; flag: bool[]; where n = 1..8; -> y: float32[n, 3]; -> large: bool[n, 3]"
)
FEED = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "flag": np.array(True)}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> OnnxArtifact:
    return saved(tmp_path_factory.mktemp("graph") / "m.onnx", GRAPH, SIGNATURE)


@pytest.fixture(scope="module")
def isolated(artifact: OnnxArtifact) -> Iterator[IsolatedSession]:
    with IsolatedSession(artifact) as session:
        yield session


def test_answers_as_a_session_in_this_process(
    artifact: OnnxArtifact, isolated: IsolatedSession
) -> None:
    here, there = toolkit.load(artifact, device="cpu").run(FEED), isolated.run(FEED)
    assert list(here) == list(there)
    np.testing.assert_equal(there, here)


def test_says_where_it_runs(isolated: IsolatedSession) -> None:
    assert isolated.device == "cpu"


def test_times_each_run(isolated: IsolatedSession) -> None:
    seconds = isolated.seconds(FEED, 4)
    assert len(seconds) == 4
    assert min(seconds) > 0


def test_a_feed_that_the_runtime_refuses_is_refused_with_its_reason(
    isolated: IsolatedSession,
) -> None:
    with pytest.raises(InputError, match=r"ONNX Runtime: .*Invalid rank"):
        isolated.run({**FEED, "x": np.zeros(3, np.float32)})


def killed(session: IsolatedSession) -> None:
    assert session._worker._process is not None
    os.kill(session._worker._process.pid, signal.SIGKILL)


class Deadly(dict[str, np.ndarray]):
    """A feed during which the child dies."""

    def __init__(self, session: IsolatedSession) -> None:
        super().__init__(FEED)
        self.session = session

    def items(self) -> ItemsView[str, np.ndarray]:  # type: ignore[override]  # dict has a class of its own
        killed(self.session)
        return super().items()


def test_a_run_that_dies_is_reported_and_the_next_one_works(isolated: IsolatedSession) -> None:
    with pytest.raises(StageCrashed, match=r"onnxruntime on 'm\.onnx'"):
        isolated.run(Deadly(isolated))
    np.testing.assert_array_equal(isolated.run(FEED)["y"], 2 * FEED["x"])


@pytest.mark.parametrize("work", ["run", "seconds"])
def test_a_child_that_died_between_runs_is_replaced(isolated: IsolatedSession, work: str) -> None:
    killed(isolated)
    process = isolated._worker._process
    assert process
    process.wait()
    if work == "run":
        isolated.run(FEED)
    else:
        isolated.seconds(FEED, 1)


def test_a_run_that_does_not_end_is_stopped_and_the_next_one_works(tmp_path: Path) -> None:
    """As many rounds as the feed says."""
    graph = """
        (int64 rounds) => (int64 y) <bool yes = {1}, int64 zero = {0}, int64 one = {1}> {
            y = Loop(rounds, yes, zero) <body = b (int64 i, bool go, int64 sum)
                => (bool on, int64 more) { on = Identity(go) more = Add(sum, one) }>
        }
    """
    endless = saved(tmp_path / "m.onnx", graph, "rounds: int64[]; -> y: int64[]")
    with IsolatedSession(endless) as session:
        session.time_limit = 0.5
        with pytest.raises(StageCrashed, match=r"took longer than 0\.5 s and was stopped"):
            session.run({"rounds": np.array(2**60)})
        session.time_limit = 60
        assert session.run({"rounds": np.array(3)})["y"] == 3


def test_a_file_that_the_runtime_does_not_know_is_not_loadable(tmp_path: Path) -> None:
    unknown = "(float[n] x) => (float[n] y) { y = Unknown(x) }"
    artifact = saved(tmp_path / "m.onnx", unknown, "x: float32[n]; where n = 1..8")
    with pytest.raises(NotLoadable, match=r"cannot load 'm\.onnx'.*Unknown"):
        IsolatedSession(artifact)


def test_a_device_that_is_missing_is_reported(artifact: OnnxArtifact) -> None:
    with pytest.raises(MissingError, match="there is no device 'abacus'"):
        IsolatedSession(artifact, device="abacus")


def test_bfloat16_passes_between_the_processes(tmp_path: Path) -> None:
    graph = "(bfloat16[n] x) => (bfloat16[n] y) { y = Identity(x) }"
    signature = "x: bfloat16[n]; where n = 1..8; -> y: bfloat16[n]"
    x = np.arange(3).astype(ml_dtypes.bfloat16)
    with IsolatedSession(saved(tmp_path / "m.onnx", graph, signature)) as session:
        y = session.run({"x": x})["y"]
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x)
