"""Tiny ONNX files, written in ONNX's own text form (onnx.parser)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, numpy_helper, parser

from toolkit.artifact import OnnxArtifact, Provenance, save
from toolkit.signature import Signature


def parsed(text: str, *, domains: str = "", **weights: np.ndarray) -> ModelProto:
    """`(float[n, 4] x) => (float[n, 4] y) { y = Add(x, w) }` with `w=array` as a model.

    `domains` are opset imports beside ONNX's own: `"com.microsoft": 1`.
    """
    opsets = ", ".join(filter(None, ['"" : 20', domains]))
    model = parser.parse_model(f"<ir_version: 10, opset_import: [{opsets}]> g {text}")
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    return model


def saved(
    path: Path, text: str, signature: str, *, domains: str = "", **weights: np.ndarray
) -> OnnxArtifact:
    """The same as a file that carries its signature."""
    model = parsed(text, domains=domains, **weights)
    return save(model, path, Signature.parse(signature), Provenance())
