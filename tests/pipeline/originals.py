"""Files as torch's own exporters write them, straight from `torch.onnx.export`: wrong ones too."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from toolkit import examples
from toolkit.model import to_tensor
from toolkit.signature import Signature

Edit = Callable[[np.ndarray], np.ndarray]


def traced(
    model: nn.Module, signature: Signature, sizes: Mapping[str, int], out: Path, *, dynamo: bool
) -> Path:
    """`model` traced at `sizes`, every dimension declared dynamic, nothing checked or mended."""
    feeds = examples.feeds(signature, sizes, "uniform", np.random.default_rng(0))
    inputs = tuple(to_tensor(feeds[s.name], s.dtype) for s in signature.inputs)
    axes = [{i: n for i, n in enumerate(s.shape) if isinstance(n, str)} for s in signature.inputs]
    names = [s.name for s in signature.inputs]
    with contextlib.redirect_stdout(io.StringIO()):
        if dynamo:
            torch.onnx.export(
                model,
                inputs,
                str(out),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=names,
                dynamic_shapes=tuple(axes),
            )
        else:
            torch.onnx.export(
                model,
                inputs,
                str(out),
                dynamo=False,
                input_names=names,
                dynamic_axes=dict(zip(names, axes, strict=True)),
            )
    return out


def with_weight(file: Path, out: Path, name: str, edit: Edit) -> Path:
    """A copy of an ONNX file with one initializer changed."""
    model = onnx.load(str(file))
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(edit(numpy_helper.to_array(tensor).copy()), name))
    onnx.save(model, str(out))
    return out


def with_attribute(file: Path, out: Path, name: str, value: float) -> Path:
    """A copy of an ONNX file with an attribute changed wherever it occurs."""
    model = onnx.load(str(file))
    found = [a for node in model.graph.node for a in node.attribute if a.name == name]
    assert found, f"no node has an attribute {name}"
    for attribute in found:
        attribute.f = value
    onnx.save(model, str(out))
    return out
