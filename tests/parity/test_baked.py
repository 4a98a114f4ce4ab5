"""A size that was baked: the computation that reads constants only is named."""

import pytest

from toolkit.parity.baked import baked
from toolkit.parity.landmarks import Step

SIZE = [
    Step("shape", "Shape", ("x",), ("shape",)),
    Step("gather", "Gather", ("shape", "first"), ("batch",)),
    Step("concat", "Concat", ("batch", "minus one"), ("target",)),
    Step("scale", "Mul", ("weight", "factor"), ("scaled",)),
    Step("matmul", "MatMul", ("x", "scaled"), ("product",)),
    Step("reshape", "Reshape", ("product", "target"), ("y",)),
]
WHOLE = {"shape", "batch", "target"}


def behind(*replaced: Step) -> str:
    """What is blamed where the last step departs, with some steps in place of the first ones."""
    steps = [*replaced, *SIZE[len(replaced) :]]
    found = baked(steps, ["x"], WHOLE, steps[-1])
    return found.node if found else ""


@pytest.mark.parametrize(
    ("replaced", "node"),
    [
        ([], ""),
        ([Step("constant", "Constant", (), ("shape",))], "gather"),
        (
            [Step("shape", "Shape", ("x",), ("shape",)), Step("n", "Constant", (), ("batch",))],
            "concat",
        ),
        ([Step("zeros", "ConstantOfShape", ("two",), ("shape",))], ""),
    ],
    ids=["right", "a baked shape", "a baked size", "zeros of a fixed size"],
)
def test_what_computes_a_size_from_constants_is_named(replaced: list[Step], node: str) -> None:
    assert behind(*replaced) == node
