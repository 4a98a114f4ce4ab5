"""The BERT of the zoo."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.zoo.bert import BERT

TINY = {"vocabulary": 23, "width": 8, "layers": 2, "heads": 2, "hidden": 16, "positions": 13}


@pytest.fixture(scope="module")
def tiny() -> BERT:
    module, _ = zoo.build("bert", **TINY)
    assert isinstance(module, BERT)
    for parameter in module.parameters():  # biases are zero at first: here all weights matter
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return module.eval()


def text(batch: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 23, (batch, tokens), generator=rng)
    return ids, torch.ones_like(ids)


def run(module: BERT, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        found: dict[str, torch.Tensor] = module(*inputs)
    return found


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    arguments = "vocabulary=11,width=8,layers=1,heads=2,hidden=8,positions=5"
    shipped(f"zoo:bert,{arguments}", tmp_path)


def test_the_encoder_of_bert_base_has_109_482_240_parameters() -> None:
    with torch.device("meta"):
        module, _ = zoo.build("bert")
    assert isinstance(module, BERT)
    assert sum(p.numel() for p in module.encoder.parameters()) == 109_482_240


@pytest.mark.parametrize("name", ["hidden", "pooled", "logits"])
def test_padding_changes_nothing_at_the_tokens_themselves(tiny: BERT, name: str) -> None:
    ids, mask = text(3, 7)
    padded = torch.nn.functional.pad(ids, (0, 5), value=4)
    alone = run(tiny, ids, mask)[name]
    among = run(tiny, padded, torch.nn.functional.pad(mask, (0, 5)))[name]
    among = among if name == "pooled" else among[:, :7]
    torch.testing.assert_close(among, alone, rtol=1e-5, atol=1e-5)


def test_a_row_that_is_all_padding_is_finite(tiny: BERT) -> None:
    ids, mask = text(2, 5)
    assert all(t.isfinite().all() for t in run(tiny, ids, torch.zeros_like(mask)).values())


def test_every_token_sees_those_after_it(tiny: BERT) -> None:
    ids, mask = text(1, 5)
    other = ids.clone()
    other[0, -1] = (ids[0, -1] + 1) % 23
    first, changed = (run(tiny, i, mask)["hidden"][0, 0] for i in (ids, other))
    assert not torch.allclose(first, changed)


def test_text_is_in_the_first_segment_unless_said_otherwise(tiny: BERT) -> None:
    ids, mask = text(2, 5)
    first, second = (run(tiny, ids, mask, torch.full_like(ids, n))["hidden"] for n in (0, 1))
    assert torch.equal(run(tiny, ids, mask)["hidden"], first)
    assert not torch.allclose(first, second)


def norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    result: np.ndarray = centred / deviation * weight + bias
    return result


def gelu(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = torch.special.ndtr(torch.from_numpy(x)).numpy() * x
    return result


@pytest.mark.parametrize("name", ["hidden", "pooled", "logits"])
def test_it_computes_the_formulas_of_the_paper(tiny: BERT, name: str) -> None:
    w = {n: p.double().numpy() for n, p in tiny.state_dict().items()}

    def linear(x: np.ndarray, at: str) -> np.ndarray:
        result: np.ndarray = x @ w[f"{at}.weight"].T + w[f"{at}.bias"]
        return result

    def normalized(x: np.ndarray, at: str) -> np.ndarray:
        return norm(x, w[f"{at}.weight"], w[f"{at}.bias"])

    ids, mask = text(1, 5)
    x = w["encoder.tokens.weight"][ids[0]] + w["encoder.positions.weight"][:5]
    x = normalized(x + w["encoder.segments.weight"][0], "encoder.norm")
    for layer in ("encoder.layers.0", "encoder.layers.1"):
        weight, bias = (w[f"{layer}.self_attn.in_proj_{n}"] for n in ("weight", "bias"))
        q, k, v = ((x @ weight.T + bias)[:, i : i + 8].reshape(5, 2, 4) for i in (0, 8, 16))
        powers = np.exp(np.einsum("qhd,khd->hqk", q, k) / np.sqrt(4))
        attention = np.einsum("hqk,khd->qhd", powers / powers.sum(-1, keepdims=True), v)
        attended = linear(attention.reshape(5, 8), f"{layer}.self_attn.out_proj")
        x = normalized(x + attended, f"{layer}.norm1")
        forward = linear(gelu(linear(x, f"{layer}.linear1")), f"{layer}.linear2")
        x = normalized(x + forward, f"{layer}.norm2")
    transformed = normalized(gelu(linear(x, "transform.0")), "transform.2")
    expected = {
        "hidden": x,
        "pooled": np.tanh(linear(x[0], "encoder.pooler")),
        "logits": transformed @ w["encoder.tokens.weight"].T + w["bias"],
    }
    np.testing.assert_allclose(run(tiny, ids, mask)[name][0], expected[name], rtol=1e-4, atol=1e-4)
