"""What a candidate is held against, also where float64 does not run."""

import numpy as np

from tests import models
from tests.parity.functions import Computes
from toolkit import source
from toolkit.errors import InputError
from toolkit.parity.cases import Case
from toolkit.parity.reference import Reference
from toolkit.pipeline.check import reference_model
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
