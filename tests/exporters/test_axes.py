"""Reductions of what may be nothing, whose axes ONNX Runtime takes from the front only."""

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from torch import Tensor, nn

from benchmarks.corpora.bends_layers import EdgesWithinReach, SplineFlow
from exporters.axes import from_the_front
from tests.exporters.holding import holds

GRAPH = """
    <ir_version: 9, opset_import: ["" : 18]>
    reduced (float[a, 3, b] x, bool[1] which) => (float[y] y, int64[z] z, float[w] w)
    <int64[1] last = {-1}, int64[2] two = {0, -2}> {
        z = ArgMax <axis = -2> (x)
        w = ReduceMax <axes = [-1, 1]> (x)
        inner = If (which) <
            then_branch = kept () => (float[c] kept) { kept = ReduceSum (x, last) },
            else_branch = other () => (float[d] other) { other = ReduceL2 (x, two) }
        >
        y = Identity (inner)
    }
"""


def test_every_axis_of_a_known_rank_is_counted_from_the_front() -> None:
    model = ir.from_proto(onnx.parser.parse_model(GRAPH))
    from_the_front(model)
    found = {}
    for node in model.graph.all_nodes():
        attributes = {a.value for n, a in node.attributes.items() if n in ("axis", "axes")}
        given = [ir.convenience.get_const_tensor(v) for v in node.inputs[1:] if v is not None]
        found[node.op_type] = [*attributes, *(tuple(map(int, a.numpy())) for a in given if a)]
    assert found["ArgMax"] == [1]
    assert [*map(tuple, found["ReduceMax"])] == [(2, 1)]
    assert (found["ReduceSum"], found["ReduceL2"]) == ([(2,)], [(0, 1)])


class Selected(nn.Module):
    """Of rows that are chosen by their values there may be none."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        kept = x[x.sum(-1) > 3]
        return kept.norm(dim=-1), kept.argmax(-1), kept.amax(-1, keepdim=True), kept.sum((-2, -1))


CASES = {
    Selected: "x: float32[n, 4] in -2..2; where n = 1..9",
    EdgesWithinReach: "places: float32[atoms, 3] in -2..2; where atoms = 2..9",
    SplineFlow: "x: float32[n, 4] in -4..4; where n = 1..9",
}


@pytest.mark.parametrize("module", CASES)
def test_none_at_all(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")
