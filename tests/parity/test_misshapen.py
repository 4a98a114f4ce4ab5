"""Shapes that the original never has, and the number of a shape that is wrong."""

from collections.abc import Collection
from math import prod

import numpy as np
import pytest

from tests.parity.test_localize import A, B, mark
from toolkit.parity.landmarks import Map, Step
from toolkit.parity.misshapen import misshapen, unfit
from toolkit.parity.sketch import Sketch

SHAPED = [
    Step("relu", "Relu", ("x",), ("r",), "net"),
    Step("norm", "ReduceL2", ("r",), ("n",), "net"),
    Step("rows", "Reshape", ("n",), ("s",), "net"),
    Step("joined", "Add", ("s",), ("y",), "net"),
]


@pytest.mark.parametrize(
    ("norm", "rows", "node"),
    [
        (A[:, :1], A[:2, :2], ""),
        (A[:, 0], A[:2, :2], "norm"),
        (A[:3], A[:2, :2], "norm"),
        (A[:, :1], A[:2, :2].reshape(1, 4), "rows"),
    ],
    ids=["right", "an axis is missing", "a size that none has", "another layout"],
)
def test_a_shape_that_the_original_never_has_is_found_before_a_refusal(
    norm: np.ndarray, rows: np.ndarray, node: str
) -> None:
    marks = [mark(A, "relu", "net"), mark(A[:, :1], "linalg_vector_norm", "net")]
    marks.append(mark(A[:2, :2], "view", "net"))
    arrays = {"x": B, "r": A, "n": norm, "s": rows}
    values = {name: Sketch.of(np.ascontiguousarray(a)) for name, a in arrays.items()}
    found = misshapen(Map(["x"], SHAPED, values, [*marks, mark(B)], 8.0), ["n", "s"])
    assert (found.node if found else "") == node


@pytest.mark.parametrize(
    ("shape", "given", "right", "index"),
    [
        ((2, 13, 4, 8), (11, 13, 32), (), 0),
        ((11, 5, 4, 8), (11, 13, 32), (), 1),
        ((4, 9), (3, 12), (), None),
        ((3, 12), (3, 12), (), None),
        ((3, 500), (3, 4, 18, 21), (), 1),
        ((3, 1000), (3, 4, 18, 21), {1}, None),
        ((5, -1), (3, 4), (), None),
        ((0, 5), (3, 4), (), None),
    ],
    ids=[
        "a batch",
        "a length",
        "it fits",
        "it is the same",
        "a product",
        "known to be right",
        "what is left",
        "a copied size",
    ],
)
def test_the_number_with_another_in_whose_place_it_fits(
    shape: tuple[int, ...], given: tuple[int, ...], right: Collection[int], index: int | None
) -> None:
    found = unfit(shape, given, right)
    assert (found.place if found else None) == index
    if found:
        fits = [found.size if n == index else size for n, size in enumerate(shape)]
        assert prod(fits) == prod(given)
