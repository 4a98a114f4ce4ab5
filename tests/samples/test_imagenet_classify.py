"""The sample on all its photographs, with one crop of each instead of sixty-four."""

import re
from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests.samples.running import run_sample

CATS = range(281, 286)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The exit code is 0: the best five classes are those of PyTorch."""
    out = tmp_path_factory.mktemp("sample") / "imagenet"
    printed = run_sample("imagenet_classify.py", "--out", out, "--crops", "1", "--budget", "1")
    return out, printed


def best(printed: str, photograph: str) -> list[int]:
    """The numbers of the five classes that are printed below a photograph's name."""
    lines = printed.splitlines()
    start = next(n for n, x in enumerate(lines) if x.startswith(f"{photograph} "))
    return [int(line.split()[1]) for line in lines[start + 1 : start + 6]]


def test_the_five_best_classes_are_those_of_pytorch(ran: tuple[Path, str]) -> None:
    assert "the same five for 8 of 8 photographs" in ran[1]


def test_it_sees_a_cat_where_there_is_one(ran: tuple[Path, str]) -> None:
    assert set(best(ran[1], "chelsea")[:3]) <= set(CATS)


@pytest.mark.parametrize(("photograph", "label"), [("coffee", 967), ("flower", 985)])
def test_it_names_what_is_in_the_photograph(
    ran: tuple[Path, str], photograph: str, label: int
) -> None:
    assert best(ran[1], photograph)[0] == label


def test_it_states_the_agreement_of_every_int8_scheme(ran: tuple[Path, str]) -> None:
    agreement = re.findall(r"^int8 (\w+) .*top-1 agrees on ([\d.]+) %", ran[1], re.M)
    assert [name for name, _ in agreement] == ["static", "dynamic"]
    assert all(float(share) >= 75 for _, share in agreement)


def test_the_bundle_takes_photographs_of_another_size(ran: tuple[Path, str]) -> None:
    pixels = np.load(ran[0] / "photographs.npz")["pixels"][:, :, 16:-16, :]
    session = toolkit.load(ran[0] / "bundle", device="cpu")
    assert session.run({"pixels": pixels[4:5]})["logits"].argmax() in CATS
