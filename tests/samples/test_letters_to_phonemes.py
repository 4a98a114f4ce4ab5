"""The trained letters-to-phonemes model, shipped, says what PyTorch says of 1,000 words."""

import pytest

from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("phonemes")
    return run_sample("letters_to_phonemes.py", "--out", out, "--budget", "2")


def test_phonemes_are_those_of_pytorch_on_1000_words(printed: str) -> None:
    row = next(line for line in printed.splitlines() if line.startswith("float32"))
    assert row.split()[1:4] == ["1000", "of", "1000"]


def test_the_weights_are_trained(printed: str) -> None:
    assert "classification   K L AE2 S AH0 F AH0 K EY1 SH AH0 N" in printed
