"""Other ways to the same answer: which there are, and that both lead there in the original."""

import numpy as np
import pytest
from torch import Tensor, nn

from toolkit import source
from toolkit.errors import InputError
from toolkit.parity.cases import Case
from toolkit.parity.invariance import BATCH, PADDING, STATE, Relation, relations, state_of
from toolkit.pipeline.references import reference_model
from toolkit.signature import Signature


class Counted(nn.Module):
    """The mean of what a mask keeps; a word of it depends on no other."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 6)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        weights = mask[..., None].float()
        words = self.words(ids)
        return {"mean": (words * weights).sum(1) / weights.sum(1).clamp(min=1), "words": words}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)

    def forward(self, x: Tensor, h_0: Tensor) -> tuple[Tensor, Tensor]:
        y, h = self.gru(x, h_0.transpose(0, 1))
        return y, h.transpose(0, 1)


COUNTED = """
    ids: int64[batch, tokens] in 0..49
    mask: int64[batch, tokens] in {0, 1}
    where batch = 1..8, tokens = 1..9
"""
RECURRENT = """
    x: float32[batch, time, 3] in -1..1
    h_0: float32[batch, 1, 5] in -1..1
    where batch = 1..8, time = 1..12
    -> y: float32[batch, time, 5]
    -> h_n: float32[batch, 1, 5]
    h_n feeds h_0
"""


def related(module: nn.Module, text: str, case: str) -> list[tuple[Relation, bool]]:
    """What may hold at a case, and whether the module's answer is the same both ways."""
    model = source.load((module.eval(), text))
    session = reference_model(model).plain
    drawn = Case.parse(case, model.signature).feeds(model.signature)

    def larger(sizes: object) -> dict[str, np.ndarray]:
        return Case(tuple(dict(sizes).items()), "uniform", 9).feeds(model.signature)

    found = []
    for relation in relations(model.signature, drawn, larger):
        one, other = relation.one(session), relation.other(session)
        same = all(
            one[n].shape == other[n].shape and np.allclose(one[n], other[n], atol=1e-6) for n in one
        )
        found.append((relation, same))
    return found


def test_rows_and_padding_of_a_masked_model_are_invariant() -> None:
    found = related(Counted(), COUNTED, "batch=3,tokens=5")
    assert [(r.name, r.what, same) for r, same in found] == [
        (BATCH, "row 0 alone and beside 2 others", True),
        (BATCH, "row 2 alone and beside 2 others", True),
        (PADDING, "1 masked positions after 5 tokens", True),
        (PADDING, "1 masked positions before 5 tokens", True),
    ]


@pytest.mark.parametrize(
    ("case", "names"),
    [("batch=1,tokens=5", {PADDING}), ("batch=2,tokens=9", {BATCH}), ("batch=1,tokens=9", set())],
)
def test_what_leaves_the_signature_is_not_asked(case: str, names: set[str]) -> None:
    assert {r.name for r, _ in related(Counted(), COUNTED, case)} == names


def test_a_batch_need_not_lead() -> None:
    gru = nn.GRU(3, 5)
    text = """
        input: float32[time, batch, 3] in -1..1
        hx: float32[1, batch, 5] in -1..1
        where time = 1..5, batch = 1..8
    """
    found = related(gru, text, "time=4,batch=3")
    assert [(r.name, same) for r, same in found] == [(BATCH, True), (BATCH, True)]


def test_a_state_is_carried_over_parts_of_a_run() -> None:
    found = related(Recurrent(), RECURRENT, "batch=1,time=11")
    assert [(r.what, same) for r, same in found] == [
        ("11 time in one run and in 2", True),
        ("8 time in one run and in 8", True),
        ("4 runs with the state carried", True),
    ]
    assert {r.name for r, _ in found} == {STATE}


def test_a_cache_is_state_by_its_name() -> None:
    model = source.load("zoo:gpt,part=decoder,layers=1,width=16,heads=2,vocabulary=30")
    pairs = state_of(model.signature)
    assert pairs["past.0.key"] == "present.0.key"
    assert len(pairs) == 3


def test_an_output_that_is_not_there_feeds_nothing() -> None:
    signature = Signature.parse("x: float32[2]\nh: float32[2]\n-> y: float32[2]\nz feeds h")
    with pytest.raises(InputError, match="'z' feeds an input, and there is no such output"):
        state_of(signature)
