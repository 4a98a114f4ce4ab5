"""How often the check names the node that was changed: random mutants of small models, a table.

    python -m benchmarks.localization [--mutants 60] [--models mlp,bert,gru] [--seed 0]

Each mutant is a right file with one thing wrong. Of those that the check calls different: is the
node at which it says that they depart the one that was changed, one that reads its value, or at
least in the same module?
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import toolkit
from toolkit import versions
from toolkit.parity.located import Departure

MODELS = {
    "mlp": "zoo:mlp",
    "cnn": "zoo:cnn,size=8",
    "bert": "zoo:bert,vocabulary=64,width=32,layers=2,heads=4,hidden=48,positions=32",
    "gpt": "zoo:gpt,vocabulary=64,width=32,layers=2,heads=4,positions=32",
    "gru": "zoo:gru",
    "vit": "zoo:vit,size=16,patch=4,classes=8,width=32,layers=2,heads=4,hidden=48",
}


@dataclass(frozen=True)
class Mutant:
    kind: str
    nodes: frozenset[str]
    """The nodes that were changed, or that read a weight that was."""

    modules: frozenset[str]
    readers: frozenset[str]
    """The nodes that read what those make."""


Change = Callable[[ModelProto, np.random.Generator], NodeProto | TensorProto | None]


def mutate(model: ModelProto, rng: np.random.Generator, kind: str = "") -> Mutant | None:
    """Change one thing in place; None where there is nothing of the kind."""
    from toolkit.optimize.naming import path

    kind = kind or str(rng.choice(list(KINDS)))
    changed = KINDS[kind](model, rng)
    if changed is None:
        return None
    if isinstance(changed, NodeProto):
        nodes = [changed]
    else:
        nodes = [n for n in model.graph.node if changed.name in n.input]
    made = {name for node in nodes for name in node.output}
    readers = {n.name for n in model.graph.node if made & set(n.input)}
    return Mutant(
        kind, frozenset(n.name for n in nodes), frozenset(map(path, nodes)), frozenset(readers)
    )


def _weights(model: ModelProto, rank: int) -> list[TensorProto]:
    return [
        t
        for t in model.graph.initializer
        if t.data_type == TensorProto.FLOAT and len(t.dims) >= rank
    ]


def _pick(rng: np.random.Generator, among: list) -> object:  # type: ignore[type-arg]
    return among[int(rng.integers(len(among)))] if among else None


def _edited(tensor: TensorProto, edit: Callable[[np.ndarray], np.ndarray]) -> TensorProto:
    array = edit(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    return tensor


def _weight_moved(model: ModelProto, rng: np.random.Generator) -> TensorProto | None:
    tensor = _pick(rng, _weights(model, 2))

    def moved(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[np.abs(array).argmax()] *= 1.01
        return array

    return _edited(tensor, moved) if tensor else None  # type: ignore[arg-type]


def _transposed(model: ModelProto, rng: np.random.Generator) -> TensorProto | None:
    square = [t for t in _weights(model, 2) if len(t.dims) == 2 and t.dims[0] == t.dims[1]]
    tensor = _pick(rng, square)
    return _edited(tensor, np.transpose) if tensor else None  # type: ignore[arg-type]


def _rows_swapped(model: ModelProto, rng: np.random.Generator) -> TensorProto | None:
    tensor = _pick(rng, [t for t in _weights(model, 2) if t.dims[0] > 1])
    return _edited(tensor, lambda a: np.roll(a, 1, 0)) if tensor else None  # type: ignore[arg-type]


def _nodes(model: ModelProto, *operators: str) -> list[NodeProto]:
    return [n for n in model.graph.node if n.op_type in operators]


def _axis(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    node = _pick(rng, _nodes(model, "Softmax"))
    if isinstance(node, NodeProto):
        _set(node, "axis", 0)
        return node
    return None


def _epsilon(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    node = _pick(rng, _nodes(model, "LayerNormalization", "BatchNormalization"))
    if isinstance(node, NodeProto):
        _set(node, "epsilon", 0.01)
        return node
    return None


def _bias_dropped(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    node = _pick(rng, [n for n in _nodes(model, "Gemm", "Conv") if len(n.input) > 2])
    if isinstance(node, NodeProto):
        del node.input[2:]
        return node
    return None


def _add_dropped(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    """An Add or a Mul becomes an Identity of its first input that is no weight."""
    weights = {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
    floats = [n for n in _nodes(model, "Add", "Mul") if weights & set(n.input)]
    node = _pick(rng, floats)
    if isinstance(node, NodeProto):
        kept = next((name for name in node.input if name not in weights), node.input[0])
        node.op_type = "Identity"
        node.input[:] = [kept]
        return node
    return None


def _activation(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    node = _pick(rng, _nodes(model, "Relu", "Gelu", "Tanh", "Sigmoid", "Erf"))
    if isinstance(node, NodeProto):
        if node.op_type == "Gelu":
            _set(node, "approximate", "tanh")
        else:
            node.op_type = "Softplus" if node.op_type == "Relu" else "Atan"
        return node
    return None


def _swapped(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    node = _pick(rng, _nodes(model, "Sub", "Div", "MatMul"))
    if isinstance(node, NodeProto) and node.op_type != "MatMul":
        node.input[:] = list(node.input)[::-1]
        return node
    return None


def _set(node: NodeProto, name: str, value: float | int | str) -> None:
    for attribute in node.attribute:
        if attribute.name == name:
            node.attribute.remove(attribute)
            break
    node.attribute.append(helper.make_attribute(name, value))


KINDS: dict[str, Change] = {
    "weight moved by 1 %": _weight_moved,
    "square weight transposed": _transposed,
    "rows of a weight rolled": _rows_swapped,
    "softmax axis": _axis,
    "epsilon": _epsilon,
    "bias dropped": _bias_dropped,
    "Add or Mul dropped": _add_dropped,
    "activation": _activation,
    "inputs swapped": _swapped,
}


def grade(mutant: Mutant, found: Departure | None) -> str:
    """How near a departure is to what was changed."""
    if found is None:
        return "nowhere"
    if found.node in mutant.nodes:
        return "node"
    if found.node in mutant.readers:
        return "reader"
    inside = any(m and f".{found.module}".endswith(f".{m}") for m in mutant.modules)
    return "module" if inside else "elsewhere"


def graded(
    models: list[str], count: int, seed: int, folder: Path
) -> Iterator[tuple[str, Mutant, str, Departure | None]]:
    """Each mutant with its grade; `undetected` where the check holds."""
    rng = np.random.default_rng(seed)
    files = {}
    for name in models:
        files[name] = folder / f"{name}.onnx"
        toolkit.export(MODELS[name], files[name], budget=3.0)
    made = 0
    while made < count:
        name = models[made % len(models)]
        model = onnx.load(str(files[name]))
        mutant = mutate(model, rng)
        if mutant is None:
            continue
        made += 1
        onnx.save(model, str(folder / "mutant.onnx"))
        report = toolkit.check(folder / "mutant.onnx", limit=8, budget=60.0, explain=True)
        found = report.located.departure if report.located else None
        yield name, mutant, "undetected" if report.holds else grade(mutant, found), found
        for note in report.notes:
            if note.startswith("not located"):
                print(name, mutant.kind, note, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=60)
    parser.add_argument("--models", default="mlp,bert,gru")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    grades: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, mutant, found, departure in graded(
            chosen.models.split(","), chosen.mutants, chosen.seed, Path(folder)
        ):
            grades[name, found] += 1
            if found not in ("node", "undetected"):
                nodes = ", ".join(sorted(mutant.nodes))
                print(f"{name}: {mutant.kind} at {nodes}: {found}: {departure}", flush=True)
    print(", ".join(f"{name} {version}" for name, version in versions.installed().items()))
    columns = ("node", "reader", "module", "elsewhere", "nowhere", "undetected")
    print(f"{'model':<8}" + "".join(f"{c:>12}" for c in columns))
    for name in chosen.models.split(","):
        print(f"{name:<8}" + "".join(f"{grades[name, c]:>12}" for c in columns))
    seen = sum(n for (_, g), n in grades.items() if g != "undetected")
    near = sum(n for (_, g), n in grades.items() if g in ("node", "reader"))
    print(f"localized to the node or one that reads it: {near} of {seen}")


if __name__ == "__main__":
    main()
