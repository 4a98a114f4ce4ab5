"""FlexAttention: scores and masks as functions, in graphs of any length."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import toolkit
from exporters.rewrites import flexible
from toolkit.uncompiled import uncompiled

Mod = Callable[..., Tensor]
SLOPES = torch.tensor([0.5, 0.1])
DOCUMENTS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])


@pytest.fixture(autouse=True)
def _uncompiled() -> Iterator[None]:
    with uncompiled():
        yield


def causal(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return q >= k


def within(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return DOCUMENTS[q] == DOCUMENTS[k]


def earlier(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """The first row has no key."""
    return q > k


def alibi(score: Tensor, _b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return score + SLOPES[h] * (k - q)


def capped(score: Tensor, *_: Tensor) -> Tensor:
    return 2 * torch.tanh(score / 2)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def traced(*args: Any, **more: Any) -> Any:
    with flexible.FAMILY.tracing(nn.Identity()):
        return flex_attention(*args, **more)


@pytest.mark.parametrize("score", [None, alibi, capped])
@pytest.mark.parametrize("mask", [None, causal, within, earlier])
def test_the_plain_operators_say_what_pytorch_says(score: Mod | None, mask: Mod | None) -> None:
    query, key, value = random(3, 2, 10, 8), random(3, 2, 10, 8) * 2, random(3, 2, 10, 4)
    blocks = create_block_mask(mask, None, None, 10, 10, device="cpu") if mask else None
    expected = flex_attention(query, key, value, score, blocks)
    torch.testing.assert_close(traced(query, key, value, score, blocks), expected)


def test_heads_that_share_keys_and_a_scale_mean_what_they_mean_in_pytorch() -> None:
    query, key = random(1, 4, 5, 8), random(1, 2, 7, 8)
    more = {"scale": 0.3, "enable_gqa": True, "return_lse": True}
    found, expected = (call(query, key, key, **more) for call in (traced, flex_attention))
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], torch.logsumexp(_scores(query, key), -1))


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.repeat_interleave(2, 1).mT * 0.3


class Attention(nn.Module):
    """Of which the mask is made for the length at hand."""

    def __init__(self, score: Mod | None) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)
        self.score = score

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        query, key, value = self.project(x).view(batch, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4)
        blocks = create_block_mask(causal, None, None, tokens, tokens, device="cpu")
        found: Tensor = flex_attention(query, key, value, self.score, blocks)
        return found.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("score", [None, alibi])
def test_one_graph_serves_every_length(score: Mod | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    exported = toolkit.export(
        Attention(score).eval(),
        tmp_path / "model.onnx",
        signature="x: float32[batch, tokens, 8] in -3..3; where batch = 1..3, tokens = 1..12",
        exporters=["onnxport"],
    )
    assert exported.report.holds
