"""Large arrays are compared in pieces: the size of the pieces changes nothing that is told."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from toolkit.parity import blocks
from toolkit.parity.cases import Case
from toolkit.parity.comparators import Meanings
from toolkit.parity.compare import Evidence
from toolkit.parity.expectation import Expectation
from toolkit.parity.fidelity import Tally
from toolkit.parity.measures import Measuring
from toolkit.parity.metrics import max_abs_error, scale
from toolkit.parity.results import CaseResult
from toolkit.parity.verdict import Judgement, Tolerance, judge, spread
from toolkit.signature import Signature

untimed = settings(deadline=None)
SMALL = 7
SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)


def in_small_pieces(compute: Callable[[], Any]) -> Any:
    before = blocks.BLOCK
    blocks.BLOCK = SMALL
    try:
        return compute()
    finally:
        blocks.BLOCK = before


def close(array: np.ndarray, far: float = 1e-6) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal(array.shape)
    return (array * (1 + far * noise)).astype(array.dtype)


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@untimed
@given(SHAPES, st.integers(0, 2))
def test_pieces_are_small_views_in_the_order_of_the_elements(
    shape: tuple[int, ...], whole: int
) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape)
    found = in_small_pieces(lambda: [a for (a,) in blocks.pieces(array, whole=whole)])
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in found]), array.ravel())
    row = int(np.prod(shape[len(shape) - min(whole, len(shape)) :])) if whole else 1
    assert all(a.size <= max(SMALL, row) and a.base is not None for a in found if a.size)


@pytest.mark.parametrize("order", ["C", "F"])
@untimed
@given(arrays(np.float32, SHAPES), st.data())
def test_a_judgement_is_the_same(order: Any, plain: np.ndarray, data: st.DataObject) -> None:
    plain = np.asarray(plain, order=order)
    truth = close(plain.astype(np.float64))
    got = plain.copy(order=order)
    if got.size:
        spoiled = data.draw(st.floats(width=32))
        got[np.unravel_index(data.draw(st.integers(0, got.size - 1)), got.shape)] = spoiled
    counted = data.draw(st.none() | arrays(bool, plain.shape))
    for tolerance in (Tolerance(), Tolerance(rtol=1e-3, atol=1e-6)):

        def judged(tolerance: Tolerance = tolerance) -> Judgement:
            return judge("y", got, plain, truth, tolerance, counted=counted)

        with np.errstate(over="ignore", invalid="ignore"):
            assert in_small_pieces(judged) == judged()


@untimed
@given(arrays(np.int64, SHAPES, elements=st.integers(-2, 2)), st.data())
def test_a_judgement_of_whole_numbers_is_the_same(plain: np.ndarray, data: st.DataObject) -> None:
    got = data.draw(arrays(np.int64, plain.shape, elements=st.integers(-2, 2)))
    ties = data.draw(st.none() | arrays(bool, plain.shape))

    def judged() -> Judgement:
        return judge("y", got, plain, plain, Tolerance(), undecided=ties)

    assert in_small_pieces(judged) == judged()


@untimed
@given(arrays(np.float32, SHAPES), st.data())
def test_distances_are_the_same(one: np.ndarray, data: st.DataObject) -> None:
    other = data.draw(arrays(np.float32, one.shape))
    for distance in (
        lambda: scale(one),
        lambda: spread(one, [other]),
        lambda: max_abs_error(one, other),
    ):
        np.testing.assert_equal(in_small_pieces(distance), distance())


@pytest.mark.parametrize(
    "plain",
    [rows(9, 3), rows(2, 5, 4), rows(20), np.abs(rows(6, 2)), np.float32(rows(4, 9).argsort(-1))],
)
def test_measures_are_the_same_but_for_the_last_bits_of_sums(plain: np.ndarray) -> None:
    chances = np.exp(plain) / np.exp(plain).sum(-1, keepdims=True)
    for own in (plain, chances.astype(np.float32)):

        def measured(own: np.ndarray = own) -> dict[str, Any]:
            measuring, got = Measuring(), close(own, 0.1)
            for seed, far in ((0, 1.0), (1, 2.0)):
                result = CaseResult(Case((), "uniform", seed), (Judgement("y", True, far, far),))
                truth = close(own.astype(np.float64))
                measuring.add(result, Expectation({"y": own}, {"y": truth}), {"y": got})
            (found,) = measuring.result()
            return asdict(found)

        found, expected = in_small_pieces(measured), measured()
        for name in ("sqnr", "cosine", "top1", "top5"):
            one, other = found.pop(name), expected.pop(name)
            assert one == (None if other is None else pytest.approx(other, rel=1e-12))
        assert found == expected


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        ("logits", rows(4, 3, 5)),
        ("probabilities", np.full((9, 4), 0.25, np.float32)),
        ("embeddings", rows(9, 4)),
        ("boxes", np.abs(rows(2, 5, 4))),
        ("masks", rows(2, 3, 8)),
        ("audio", rows(2, 20)),
        ("tokens", np.arange(24).reshape(6, 4)),
    ],
)
def test_what_a_difference_means_is_the_same(kind: str, plain: np.ndarray) -> None:
    signature = Signature.parse(f"x: float32[1]; y as {kind}")

    def told() -> list[str]:
        meanings = Meanings(signature)
        meanings.add(Expectation({"y": plain}, {"y": plain}), {"y": close(plain, 0.3)})
        return [str(m) for m in meanings.result()]

    assert told()
    assert in_small_pieces(told) == told()


@untimed
@given(arrays(np.float32, SHAPES))
def test_the_extremes_of_the_outputs_are_the_same(plain: np.ndarray) -> None:
    def seen() -> tuple[Any, ...]:
        evidence = Evidence(Meanings(Signature.parse("x: float32[1]")))
        evidence.see({"y": plain})
        return evidence.low, evidence.high, evidence.floating

    assert in_small_pieces(seen) == seen()


def test_the_fidelity_of_a_lossy_file_is_the_same_but_for_the_last_bits() -> None:
    def told() -> Any:
        tally, plain = Tally(), rows(30, 3)
        tally.add({"y": plain}, {"y": close(plain, 0.5)})
        (found,) = tally.result()
        return found

    found, expected = in_small_pieces(told), told()
    assert (found.top1, found.rows) == (expected.top1, expected.rows)
    assert found.sqnr == pytest.approx(expected.sqnr, rel=1e-12)
    assert found.cosine == pytest.approx(expected.cosine, rel=1e-12)
