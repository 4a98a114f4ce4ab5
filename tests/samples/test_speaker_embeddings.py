"""The sample runs from end to end, on fewer utterances than for its printed numbers."""

import pytest

from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("sample") / "voices"
    return run_sample("speaker_embeddings.py", "--out", out, "--utterances", "6", "--budget", "1")


def row(printed: str, heading: str, name: str) -> list[str]:
    """The words of the line of `name` below a heading."""
    lines = printed[printed.index(heading) :].splitlines()
    return next(line.split() for line in lines if line.split()[:1] == [name])


@pytest.mark.parametrize("name", ["pytorch", "float32"])
def test_the_nearest_to_every_utterance_is_the_same_voice(printed: str, name: str) -> None:
    assert row(printed, "cosines between", name)[-3:] == ["6", "of", "6"]


def test_the_file_finds_the_same_cosines_as_pytorch(printed: str) -> None:
    pytorch, float32 = (row(printed, "cosines between", n) for n in ("pytorch", "float32"))
    assert pytorch[1:] == float32[1:]


def test_embeddings_are_those_of_pytorch(printed: str) -> None:
    """The distance is half the squared error: 1e-11 is an error of 4e-6. 3e-12 was measured."""
    assert float(row(printed, "largest cosine distance", "float32")[1]) < 1e-11
