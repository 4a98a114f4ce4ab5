"""The sample with its trained weights, for texts of 16 tokens at most."""

from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The exit code is 0: the nearest sentences are those that PyTorch finds."""
    out = tmp_path_factory.mktemp("sample") / "sentences"
    printed = run_sample("sentence_embeddings.py", "--out", out, "--tokens", "16", "--budget", "1")
    return out, printed


def cosine(printed: str, name: str) -> float:
    """What is printed for `pytorch`, `float32` or `int8`: the least over all sentences."""
    return next(float(x.split()[1]) for x in printed.splitlines() if x.split()[:1] == [name])


def test_what_says_the_same_in_other_words_is_nearest(ran: tuple[Path, str]) -> None:
    assert "nearest as in PyTorch: 20 of 20; the one beside: 20" in ran[1]


def test_int8_points_the_same_way(ran: tuple[Path, str]) -> None:
    assert cosine(ran[1], "int8") >= 0.95


def test_padding_does_not_move_a_sentence(ran: tuple[Path, str]) -> None:
    session = toolkit.load(ran[0] / "bundle", device="cpu")
    rows = dict(np.load(ran[0] / "sentences.npz"))
    together = session.run(rows)["vector"]
    for row in range(3):
        length = rows["mask"][row].sum()
        alone = session.run({name: a[row : row + 1, :length] for name, a in rows.items()})["vector"]
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
