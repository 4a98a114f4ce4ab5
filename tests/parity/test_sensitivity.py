"""What each layer of a rounded graph keeps of its signal."""

import numpy as np
import pytest

from toolkit.parity.landmarks import Landmark, Step
from toolkit.parity.located import Layer, Located
from toolkit.parity.sensitivity import nearest, sensitivity, sqnr
from toolkit.parity.sketch import Sketch

A, B = (np.random.default_rng(n).normal(size=100) for n in range(2))
STEPS = [
    Step("one", "MatMul", ("x",), ("a",), "layers.0"),
    Step("round", "QuantizeLinear", ("a",), ("q",), "layers.0"),
    Step("two", "MatMul", ("q",), ("b",), "layers.1"),
]
MARKS = [
    Landmark(Sketch.of(A), 1e-6, "addmm", "net.layers.0"),
    Landmark(Sketch.of(B), 1e-6, "addmm", "net.layers.1"),
]


@pytest.mark.parametrize(
    ("noise", "expected"), [(0.0, np.inf), (0.1, 20.0), (0.01, 40.0), (1.0, 0.0)]
)
def test_ten_times_less_noise_is_20_db_more(noise: float, expected: float) -> None:
    assert sqnr(Sketch.of(A), Sketch.of(A * (1 + noise))) == pytest.approx(expected)


def test_layers_come_in_the_order_in_which_they_run() -> None:
    values = {"a": Sketch.of(A * 1.01), "q": Sketch.of(np.rint(A)), "b": Sketch.of(B * 1.1)}
    layers = sensitivity(STEPS, values, MARKS, {"a": 0, "b": 1})
    assert [(layer.module, layer.sqnr) for layer in layers] == [
        ("net.layers.0", pytest.approx(40.0)),
        ("net.layers.1", pytest.approx(20.0)),
    ]


def test_a_value_of_a_module_is_matched_to_the_nearest_of_its_size() -> None:
    values = {"a": Sketch.of(A * 1.01), "q": Sketch.of(np.rint(A * 50)), "b": Sketch.of(B * 1.1)}
    others = [Landmark(Sketch.of(-A), 1e-6, "neg", "net.layers.0"), *MARKS]
    assert nearest(STEPS, values, others) == {"a": 1, "b": 2}


def test_the_weakest_are_three_at_most_worst_first() -> None:
    profile = tuple(Layer(f"m{n}", 1.0, float(db)) for n, db in enumerate((40, 10, 30, 20)))
    assert [layer.module for layer in Located(profile=profile).weakest] == ["m1", "m3", "m2"]
    assert Located(profile=(Layer("m", 1.0),)).weakest == ()
