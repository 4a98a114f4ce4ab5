"""What a candidate is held against, also where float64 does not run."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtimes.pytorch import PyTorchFloat64
from tests import models
from tests.parity.functions import Computes
from toolkit import source
from toolkit.errors import InputError
from toolkit.parity.cases import Case
from toolkit.parity.reference import DRAWS, IN_HASTE, Reference
from toolkit.pipeline.references import reference_model
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[n]\nwhere n = 1..64")
CASE = Case((("n", 64),), "uniform", 0)


def test_the_truth_of_a_model_is_its_float64() -> None:
    model = source.load(models.linear())
    case = Case((("batch", 3),), "uniform", 0)
    feeds = case.feeds(model.signature)
    expected = reference_model(model).expect(feeds)
    w, b = (model.weights()[n].astype(np.float64) for n in ("weight", "bias"))
    np.testing.assert_allclose(expected.truth["output"], feeds["x"] @ w.T + b, rtol=1e-14)


def test_the_plain_run_keeps_the_precision_of_the_model() -> None:
    model = source.load(models.linear())
    feeds = Case((("batch", 3),), "uniform", 0).feeds(model.signature)
    assert reference_model(model).expect(feeds).plain["output"].dtype == np.float32


def test_a_model_that_fixes_float32_is_judged_by_its_noise_and_says_so() -> None:
    model = source.load(models.fixed_precision())
    reference = reference_model(model)
    reference.expect(Case((("batch", 3),), "uniform", 0).feeds(model.signature))
    assert not reference.has_truth
    assert reference.notes[0].startswith("the original does not run in float64")


class Experts(nn.Module):
    """Two matrices, one for each half of the rows, by a norm in float32: a mixture of experts."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(2, 16, 16, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        normal = (wide * torch.rsqrt(wide.float().square().mean(-1, keepdim=True))).to(x.dtype)
        ends = torch.tensor([x.shape[0] // 2, x.shape[0]], dtype=torch.int32)
        found: Tensor = torch._grouped_mm(normal, self.weight.to(x.dtype), offs=ends)
        return found


def test_what_a_module_casts_to_float32_itself_is_float64_in_the_truth() -> None:
    model = source.load((Experts(), "x: float32[n, 16] in -1..1; where n = 2..8"))
    feeds = Case((("n", 6),), "uniform", 0).feeds(model.signature)
    reference = reference_model(model)
    expected = reference.expect(feeds)
    x = feeds["x"].astype(np.float64)
    normal = x / np.sqrt((x**2).mean(-1, keepdims=True))
    weight = model.weights()["weight"].astype(np.float64)
    by_hand = np.concatenate([normal[:3] @ weight[0], normal[3:] @ weight[1]])
    np.testing.assert_allclose(expected.truth["output"], by_hand, rtol=1e-13, atol=1e-13)
    assert torch.get_default_dtype() == torch.float32
    assert not reference.notes


class Steep(nn.Module):
    """A sum of embeddings that nearly cancel, magnified."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(torch.linspace(1.0, 1.0 + 1e-4, 50)[:, None])

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = (self.embed(ids).sum(1) - ids.shape[1]) * 1e4
        return found


def test_the_noise_of_a_model_of_integers_is_that_of_its_weights_as_well() -> None:
    model = source.load((Steep(), "ids: int64[n, t] in 0..49; where n = 1..4, t = 1..64"))
    case = Case((("n", 4), ("t", 64)), "uniform", 0)
    exact = PyTorchFloat64().load(model, "cpu")
    reference = Reference(exact, exact, moving=exact.moved)  # no rounding of its own
    feeds = case.feeds(model.signature)
    before = exact.run(feeds)
    spread = reference.noise(case, feeds, reference.expect(feeds)).spread["output"]
    ulp = float(np.finfo(np.float32).eps)
    assert ulp * 1e4 < spread < 64 * ulp * 1e4
    np.testing.assert_array_equal(exact.run(feeds)["output"], before["output"])


def test_without_a_truth_the_plain_run_stands_in_and_a_note_says_so() -> None:
    def refuses(x: np.ndarray) -> np.ndarray:
        raise InputError("expected float32")

    reference = Reference(Computes(SIGNATURE, np.sqrt), Computes(SIGNATURE, refuses))
    feeds = {"x": np.full(64, 2.0, np.float32)}
    expected = reference.expect(feeds)
    np.testing.assert_array_equal(expected.truth["y"], expected.plain["y"].astype(np.float64))
    assert not reference.has_truth
    assert "one-ulp changes of the input (expected float32)" in reference.notes[0]


def test_noise_follows_the_condition_of_the_function() -> None:
    """x -> 1000 x moves 1000 times as far as x -> x under the same change of the input."""
    feeds = CASE.feeds(SIGNATURE)

    def noise(slope: float) -> float:
        session = Computes(SIGNATURE, lambda x: x * x.dtype.type(slope))
        reference = Reference(session, session)
        return reference.noise(CASE, feeds, reference.expect(feeds)).spread["y"]

    assert 900 < noise(1000.0) / noise(1.0) < 1100


def test_noise_of_a_model_of_integers_comes_from_other_values_of_the_same_sizes() -> None:
    signature = Signature.parse("x: int64[n] in 1..9\nwhere n = 1..64")
    plain = Computes(signature, lambda x: (x / 3).astype(np.float32))
    reference = Reference(plain, Computes(signature, lambda x: x / 3))
    feeds = CASE.feeds(signature)
    spread = reference.noise(CASE, feeds, reference.expect(feeds)).spread["y"]
    assert 0 < spread < 1e-6


def test_a_target_that_is_compared_with_a_number_stays_in_some_neighbours() -> None:
    """All cancels where the target is 1, and only there a neighbour shows what rounding leaves."""
    signature = Signature.parse("x: float32[64] in 1..2; target: float32[64] in 1..2")

    class Loss(Computes):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            x, target = feeds["x"], feeds["target"]
            return {"y": np.where(target == 1, np.sqrt(x) ** 2 - x, 0 * x)}

    class Wide(Loss):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return super().run({n: a.astype(np.float64) for n, a in feeds.items()})

    reference = Reference(Loss(signature, abs), Wide(signature, abs))
    case = Case((), "low", 0)
    feeds = case.feeds(signature)
    expected = reference.expect(feeds)
    assert not expected.plain["y"].any()
    assert reference.noise(case, feeds, expected).spread["y"] > 1e-8


def test_of_a_single_number_the_error_is_sampled_further_around() -> None:
    """What x - tanh(x) leaves is the rounding of tanh: at one place and two neighbours, luck."""
    signature = Signature.parse("x: float32[]")
    session = Computes(signature, lambda x: x - np.tanh(x))
    wide = Computes(signature, lambda x: x.astype(np.float64) - np.tanh(x.astype(np.float64)))
    reference, found = Reference(session, wide), []
    for number in np.linspace(0.09, 0.1, 50, dtype=np.float32):
        feeds = {"x": np.asarray(number)}
        spread = reference.noise(CASE, feeds, reference.expect(feeds)).spread["y"]
        found.append(spread / np.spacing(np.tanh(number)))
    assert min(found) > 0.2


def drawn(reference: Reference, runs: list[int], **ways: Any) -> float:
    """The spread, and in `runs` how often the plain session was run for it."""
    feeds = CASE.feeds(SIGNATURE)
    expected = reference.expect(feeds)
    runs.clear()
    return reference.noise(CASE, feeds, expected, **ways).spread["y"]


@pytest.mark.parametrize(("drift", "least"), [(0.0, 1), (64.0, 3)])
def test_when_time_is_over_only_the_first_neighbours_are_asked_and_a_note_says_so(
    drift: float, least: int
) -> None:
    runs: list[int] = []

    def counted(x: np.ndarray) -> np.ndarray:
        runs.append(x.size)
        return np.cos(x)

    reference = Reference(Computes(SIGNATURE, counted), Computes(SIGNATURE, np.cos))
    everything = drawn(reference, runs, drift=drift)
    assert len(runs) == DRAWS + 2 * bool(drift)
    assert not reference.notes
    few = drawn(reference, runs, drift=drift, end=time.perf_counter() - 1)
    assert len(runs) == least
    assert 0 < few <= everything
    assert reference.notes == [IN_HASTE]


def test_in_haste_one_neighbour_is_asked_that_a_norm_can_tell_from_the_input() -> None:
    def normed(x: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean())

    reference = Reference(Computes(SIGNATURE, normed), Computes(SIGNATURE, normed))
    feeds = CASE.feeds(SIGNATURE)
    noise = reference.noise(CASE, feeds, reference.expect(feeds), ulps=64.0, drift=64.0, end=0.0)
    assert noise.spread["y"] > 32 * np.finfo(np.float32).eps
