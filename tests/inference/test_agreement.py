"""Other tokens than PyTorch's are right where two words were tied, and nowhere else."""

import pytest
import torch

from toolkit import plugins, sequence, source
from toolkit.inference.agreement import equally_good
from toolkit.inference.generation import Generator

PROMPT = [3, 1, 4]
MOST = 6


@pytest.fixture(scope="module")
def subjects() -> tuple[Generator, Generator]:
    """A GPT in float32 and float64 to which words 8 and 9 are the same word."""
    model = source.load("zoo:gpt,vocabulary=12,width=16,layers=1,heads=2,positions=24")
    torch.manual_seed(0)
    for parameter in model.module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    table = model.module.get_parameter("decoder.tokens.weight").data
    table[8] *= 4  # a word that is written
    table[9] = table[8]
    part, generation = sequence.part(model, "decoder"), sequence.generation(model)
    plain, exact = (
        Generator(plugins.runtime(name).load(part, "cpu"), generation)
        for name in ("pytorch", "pytorch-float64")
    )
    return plain, exact


@pytest.fixture(scope="module")
def text(subjects: tuple[Generator, Generator]) -> list[int]:
    found = subjects[0].generate(prompts=[PROMPT], most=MOST)[0]
    assert 8 in found
    return found


def replaced(text: list[int], word: int) -> list[int]:
    """The text with `word` in place of the first 8."""
    first = text.index(8)
    return [*text[:first], word, *text[first + 1 :]]


@pytest.mark.parametrize("whole", [False, True], ids=["greedy", "beams"])
@pytest.mark.parametrize(("word", "good"), [(8, True), (9, True), (5, False)])
def test_a_tied_word_is_as_good_and_another_is_not(
    subjects: tuple[Generator, Generator], text: list[int], word: int, good: bool, whole: bool
) -> None:
    other = replaced(text, word)
    found = equally_good(*subjects, None, PROMPT, text, other, most=MOST, whole=whole)
    assert found == good


def test_a_text_that_ends_too_early_is_not_as_good(
    subjects: tuple[Generator, Generator], text: list[int]
) -> None:
    assert not equally_good(*subjects, None, PROMPT, text, text[:2], most=MOST, whole=False)
