"""The first node whose value the original never had, on graphs of a few nodes."""

from collections.abc import Collection

import numpy as np
import pytest

from toolkit.parity.localize import Landmark, Map, Step, steepest
from toolkit.parity.located import Departure, Located
from toolkit.parity.sketch import Sketch

A, B, C = (np.random.default_rng(n).normal(size=(4, 6)) for n in range(3))


def mark(array: np.ndarray, operator: str = "", module: str = "") -> Landmark:
    return Landmark(Sketch.of(array), 1e-6, operator, module)


def departure(here: Map, *wrong: str, changed: Collection[str] = ()) -> Departure | None:
    first = here.first(wrong, changed)
    return here.departure(*first) if first else None


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
    found = departure(chain(first=A, second=B + 1, third=C + 1), "third")
    assert found
    assert (found.node, found.module, found.expected) == ("second", "net.layers.1", "op")
    assert found.ratio == pytest.approx(1e6)


def test_a_reshaped_value_is_still_the_same() -> None:
    found = departure(chain(first=A.reshape(3, 8), second=B.reshape(24), third=C * 2), "third")
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
    found = departure(Map(["x"], steps, values, [mark(C)], 8.0), "y", changed={"w"})
    assert found
    assert found.node == "product"


def test_what_is_made_of_weights_alone_is_no_suspect() -> None:
    steps = [
        Step("transpose", "Transpose", ("w",), ("t",)),
        Step("product", "MatMul", ("x", "t"), ("y",)),
    ]
    values = {"t": Sketch.of(A), "y": Sketch.of(B)}
    found = departure(Map(["x"], steps, values, [mark(C)], 8.0), "y")
    assert found
    assert found.node == "product"


def test_a_name_says_which_value_is_meant() -> None:
    here = chain(first=A, second=A, third=C + 1)  # the second passes on what it reads
    by_content = departure(here, "third")
    assert by_content
    assert by_content.node == "third"
    named = Map(["x"], here.steps, here.values, here.landmarks, 8.0, {"second": 1})
    by_name = departure(named, "third")
    assert by_name
    assert by_name.node == "second"


def test_the_profile_follows_the_layers() -> None:
    found = chain(first=A, second=B + 2e-6, third=C).profile()
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
    found = departure(chain(first=A, second=B * np.inf, third=C), "second")
    assert Located(found).to_dict()["departure"]["ratio"] == "inf"


def test_among_missing_values_of_a_module_the_same_operator_is_meant() -> None:
    steps = [Step("attention/Softmax", "Softmax", ("x",), ("y",), "attention")]
    marks = [mark(C, "bmm", "attention"), mark(B, "_softmax", "attention")]
    found = departure(Map(["x"], steps, {"y": Sketch.of(A)}, marks, 8.0), "y")
    assert found
    assert found.expected == "_softmax"


def test_a_view_of_a_value_that_is_there_is_not_missing() -> None:
    steps = [
        Step("product", "MatMul", ("x",), ("p",), "attention"),
        Step("softmax", "Softmax", ("p",), ("y",), "attention"),
    ]
    values = {"p": Sketch.of(A), "y": Sketch.of(B)}
    marks = [mark(A, "bmm", "attention"), mark(A, "view", "attention")]
    first = Map(["x"], steps, values, marks, 8.0).first(["y"])
    assert first == (steps[1], None)


def test_where_nothing_tells_sizes_are_not_to_blame() -> None:
    steps = [
        Step("size", "Shape", ("x",), ("n",)),
        Step("choice", "If", ("n",), ("y",)),
    ]
    values = {"n": Sketch.of(np.array([4, 6])), "y": Sketch.of(A)}
    found = departure(Map(["x"], steps, values, [], 8.0), "y")
    assert found
    assert found.node == "choice"
