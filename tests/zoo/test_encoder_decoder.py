"""The GRU encoder-decoder, with attention and without."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import toolkit
from toolkit import zoo
from toolkit.zoo.encoder_decoder import EncoderDecoder

TINY = {"sources": 30, "targets": 20, "embedding": 6, "hidden": 8, "longest": 9}
SOURCE = "zoo:encoder_decoder," + ",".join(f"{k}={v}" for k, v in TINY.items())
LENGTHS = torch.tensor([5, 2, 3])


def made(*, attention: bool) -> EncoderDecoder:
    module, _ = zoo.build("encoder_decoder", attention=attention, **TINY)
    assert isinstance(module, EncoderDecoder)
    return module.eval()


@pytest.fixture(scope="module", params=[True, False], ids=["attention", "state alone"])
def model(request: pytest.FixtureRequest) -> EncoderDecoder:
    return made(attention=request.param)


def ids(batch: int, tokens: int, words: int = 20) -> Tensor:
    return torch.randint(0, words, (batch, tokens), generator=torch.manual_seed(1))


@pytest.mark.parametrize("attention", [True, False])
def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path, attention: bool) -> None:
    source = f"{SOURCE},attention={attention}"
    bundle = toolkit.ship_sequence(source, tmp_path / "bundle", budget=5.0)
    covered = {
        part: {n: (s[0], s[-1]) for n, s in b.exported.report.covered.items()}
        for part, b in bundle.parts.items()
    }
    assert all(b.exported.report.holds for b in bundle.parts.values())
    assert covered["encoder"] == {"batch": (1, 32), "length": (1, 9)}
    assert covered["decoder"]["batch"] == (1, 32)


def test_the_encoder_is_one_native_gru(tmp_path: Path) -> None:
    toolkit.export(f"{SOURCE},part=encoder", tmp_path / "encoder.onnx", budget=5.0)
    operators = toolkit.inspect(tmp_path / "encoder.onnx").operators
    assert operators["GRU"] == 1
    assert not {"Loop", "Scan", "Sigmoid", "Tanh"} & set(operators)


@torch.no_grad()
def test_what_pads_a_source_changes_nothing(model: EncoderDecoder) -> None:
    source = ids(3, 5)
    other = source.clone()
    other[1, 2:], other[2, 3:] = 0, 7
    one, two = (model(s, LENGTHS, ids(3, 4))["logits"] for s in (source, other))
    torch.testing.assert_close(one, two)


@torch.no_grad()
def test_a_source_alone_is_the_source_in_a_padded_batch(model: EncoderDecoder) -> None:
    source, target = ids(3, 5), ids(3, 4)
    together = model(source, LENGTHS, target)["logits"][1:2]
    alone = model(source[1:2, :2], LENGTHS[1:2], target[1:2])["logits"]
    torch.testing.assert_close(together, alone)


@torch.no_grad()
def test_a_step_is_the_formula_of_bahdanau() -> None:
    decoder = made(attention=True).decoder
    rng = np.random.default_rng(0)
    state, memory, keys = (
        rng.standard_normal(s).astype(np.float32) for s in ((2, 8), (2, 5, 8), (2, 5, 8))
    )
    token, lengths = np.array([[3], [4]]), np.array([5, 2])
    step = decoder(*map(torch.from_numpy, (token, state, lengths, memory, keys)))

    weights = {n: p.numpy() for n, p in decoder.named_parameters()}
    query = state @ weights["query.weight"].T + weights["query.bias"]
    fit = np.tanh(query[:, None] + keys) @ weights["score.weight"][0]
    fit[1, 2:] = -np.inf
    share = np.exp(fit) / np.exp(fit).sum(1, keepdims=True)
    context = (share[:, :, None] * memory).sum(1)
    x = np.concatenate((weights["embedding.weight"][token[:, 0]], context), axis=1)
    expected = gru(x, state, weights)
    out = np.concatenate((expected, context), axis=1) @ weights["out.weight"].T
    np.testing.assert_allclose(step["present.state"], expected, atol=1e-5)
    np.testing.assert_allclose(step["logits"][:, 0], out + weights["out.bias"], atol=1e-5)


def gru(x: np.ndarray, h: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Cho et al. 2014, with the reset gate after the product, as cuDNN and torch have it."""
    inner = (x @ weights["gru.weight_ih"].T + weights["gru.bias_ih"]).reshape(len(x), 3, -1)
    outer = (h @ weights["gru.weight_hh"].T + weights["gru.bias_hh"]).reshape(len(x), 3, -1)
    reset, update = (1 / (1 + np.exp(-(inner[:, g] + outer[:, g]))) for g in (0, 1))
    new = np.tanh(inner[:, 2] + reset * outer[:, 2])
    result: np.ndarray = (1 - update) * new + update * h
    return result
