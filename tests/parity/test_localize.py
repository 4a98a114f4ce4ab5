"""The first node whose value the original never had, on graphs of a few nodes."""

from collections.abc import Collection

import numpy as np
import pytest

from toolkit.parity.landmarks import Landmark, Map, Step
from toolkit.parity.localize import departure, first, profile, steepest
from toolkit.parity.located import Departure, Located
from toolkit.parity.sketch import Sketch

A, B, C = (np.random.default_rng(n).normal(size=(4, 6)) for n in range(3))


def mark(array: np.ndarray, operator: str = "", module: str = "") -> Landmark:
    return Landmark(Sketch.of(array), 1e-6, operator, module)


def departing(here: Map, *wrong: str, changed: Collection[str] = ()) -> Departure | None:
    found = first(here, wrong, changed)
    return departure(here, *found) if found else None


def chain(**arrays: np.ndarray) -> Map:
    """x -> first -> second -> third, whose values were A, B and C in the original."""
    names = ["first", "second", "third"]
    steps = [
        Step(name, "Op", (before,), (name,), f"layers.{n}")
        for n, (before, name) in enumerate(zip(["x", *names], names, strict=False))
    ]
    marks = [mark(a, "op", f"net.layers.{n}") for n, a in enumerate((A, B, C))]
    return Map(["x"], steps, {n: Sketch.of(a) for n, a in arrays.items()}, marks, 8.0)


def test_walks_back_to_the_last_right_value() -> None:
    found = departing(chain(first=A, second=B + 1, third=C + 1), "third")
    assert found
    assert (found.node, found.module, found.expected) == ("second", "net.layers.1", "op")
    assert found.ratio == pytest.approx(1e6)


def test_a_reshaped_value_is_still_the_same() -> None:
    found = departing(chain(first=A.reshape(3, 8), second=B.reshape(24), third=C * 2), "third")
    assert found
    assert found.node == "third"


def test_an_error_within_the_yardstick_is_none() -> None:
    assert chain(first=A + 4e-6, second=B, third=C).matched == {"first": 0, "second": 1, "third": 2}


def test_a_suspect_that_reads_a_changed_weight_needs_no_landmark() -> None:
    steps = [
        Step("scale", "Mul", ("x",), ("s",)),
        Step("product", "MatMul", ("s", "w"), ("y",)),
    ]
    values = {"s": Sketch.of(A[:2]), "y": Sketch.of(B)}
    found = departing(Map(["x"], steps, values, [mark(C)], 8.0), "y", changed={"w"})
    assert found
    assert found.node == "product"


def test_what_is_made_of_weights_alone_is_no_suspect() -> None:
    steps = [
        Step("transpose", "Transpose", ("w",), ("t",)),
        Step("product", "MatMul", ("x", "t"), ("y",)),
    ]
    values = {"t": Sketch.of(A), "y": Sketch.of(B)}
    found = departing(Map(["x"], steps, values, [mark(C)], 8.0), "y")
    assert found
    assert found.node == "product"


def test_a_name_says_which_value_is_meant() -> None:
    here = chain(first=A + 1, second=B, third=C + 1)  # B is right, but it is the third's
    named = Map(["x"], here.steps, here.values, here.landmarks, 8.0, {"second": 2})
    by_content, by_name = departing(here, "third"), departing(named, "third")
    assert by_content
    assert by_name
    assert (by_content.node, by_name.node) == ("third", "first")


def test_a_value_of_the_original_may_still_be_the_wrong_one() -> None:
    """The second passes on what it reads, as where a layer was left out."""
    found = departing(chain(first=A, second=A, third=C + 1), "third")
    assert found
    assert (found.node, found.module) == ("second", "net.layers.1")


def test_more_numbers_than_it_should_have_are_told_by_the_operator_and_the_module() -> None:
    steps = [
        Step("conv", "Conv", ("x",), ("c",), "first"),
        Step("relu", "Relu", ("c",), ("r",), "second"),
        Step("sum", "ReduceSum", ("r",), ("y",), "third"),
    ]
    marks = [mark(A, "convolution", "first"), mark(abs(A), "relu", "second")]
    marks.append(mark(C[0], "sum", "third"))
    values = {"x": Sketch.of(B), "c": Sketch.of(A[:2]), "r": Sketch.of(A[2:]), "y": Sketch.of(B[0])}
    found = departing(Map(["x"], steps, values, [*marks, mark(B)], 8.0), "y")
    assert found
    assert found.node == "conv"


def test_a_mask_that_is_all_true_is_told_by_the_operator_and_the_module() -> None:
    steps = [
        Step("both", "Or", ("x",), ("m",), "net"),
        Step("product", "MatMul", ("m",), ("y",), "net"),
    ]
    mask = np.tri(4, 6)
    values = {"x": Sketch.of(B), "m": Sketch.of(mask * 0 + 1), "y": Sketch.of(C)}
    marks = [mark(B), mark(mask, "bitwise_and", "net"), mark(A, "mm", "net")]
    found = departing(Map(["x"], steps, values, marks, 8.0), "y")
    assert found
    assert (found.node, found.expected) == ("both", "bitwise_and")


def test_the_profile_follows_the_layers() -> None:
    found = profile(chain(first=A, second=B + 2e-6, third=C))
    assert [layer.module for layer in found] == [f"net.layers.{n}" for n in range(3)]
    assert [layer.ratio for layer in found] == pytest.approx([0.0, 2.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("size", [1, 100, 1 << 14, (1 << 14) + 1, 1 << 16])
def test_sketches_of_equal_arrays_are_equal(size: int) -> None:
    array = np.arange(size, dtype=np.float32)
    one, other = Sketch.of(array), Sketch.of(array.reshape(1, -1).copy())
    assert one.distance(other) == 0.0
    assert one.elements.size == min(size, 1 << 14)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ([np.nan, 1.0], [np.nan, 1.5], 0.5),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0),
        ([np.inf], [-np.inf], np.inf),
        ([np.nan], [1.0], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_nan_and_infinities_match_themselves_only(
    one: list[float], other: list[float], distance: float
) -> None:
    assert Sketch.of(np.array(one)).distance(Sketch.of(np.array(other))) == distance


def test_the_steepest_node_is_the_one_that_adds_most() -> None:
    steps = [Step(n, "Op", (b,), (n,)) for b, n in ("xa", "ab", "bc")]
    found = steepest(steps, {"a": 2.0, "b": 500.0, "c": 900.0}, 8.0)
    assert found
    assert (found.node, found.ratio) == ("b", 250.0)
    assert steepest(steps, {"a": 2.0, "b": 3.0, "c": 4.0}, 8.0) is None


def test_infinite_ratios_survive_json() -> None:
    found = departing(chain(first=A, second=B * np.inf, third=C), "second")
    assert Located(found).to_dict()["departure"]["ratio"] == "inf"


def test_among_missing_values_of_a_module_the_same_operator_is_meant() -> None:
    steps = [Step("attention/Softmax", "Softmax", ("x",), ("y",), "attention")]
    marks = [mark(C, "bmm", "attention"), mark(B, "_softmax", "attention")]
    found = departing(Map(["x"], steps, {"y": Sketch.of(A)}, marks, 8.0), "y")
    assert found
    assert found.expected == "_softmax"


def test_a_view_of_a_value_that_is_there_is_not_missing() -> None:
    steps = [
        Step("product", "MatMul", ("x",), ("p",), "attention"),
        Step("softmax", "Softmax", ("p",), ("y",), "attention"),
    ]
    values = {"p": Sketch.of(A), "y": Sketch.of(B)}
    marks = [mark(A, "bmm", "attention"), mark(A, "view", "attention")]
    found = first(Map(["x"], steps, values, marks, 8.0), ["y"])
    assert found == (steps[1], None)


def test_where_nothing_tells_sizes_are_not_to_blame() -> None:
    steps = [
        Step("size", "Shape", ("x",), ("n",)),
        Step("choice", "If", ("n",), ("y",)),
    ]
    values = {"n": Sketch.of(np.array([4, 6])), "y": Sketch.of(A)}
    found = departing(Map(["x"], steps, values, [], 8.0), "y")
    assert found
    assert found.node == "choice"
