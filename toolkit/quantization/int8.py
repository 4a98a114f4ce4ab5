"""int8 by ONNX Runtime's quantizer, in a child process: static QDQ and dynamic.

Static: activations uint8 with ranges from calibration data, weights int8 per channel, as
QuantizeLinear and DequantizeLinear pairs that every runtime understands. Dynamic: ranges found at
each run, for matrix products only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.artifact import EXTERNAL_ABOVE, OnnxArtifact, Provenance, read_graph, save
from toolkit.errors import InputError
from toolkit.inference.data import CALIBRATION_ROWS, Data
from toolkit.isolation import Worker
from toolkit.quantization import cpu
from toolkit.signature import Signature

_PRODUCTS = ("MatMul", "Gemm")
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_BETWEEN = (
    "Relu", "LeakyRelu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Concat",
    "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Pad", "Resize", "Slice", "Split",
)  # fmt: skip
"""Operators that pass int8 on between convolutions, so that nothing is converted back and forth."""


@dataclass(frozen=True)
class Scheme:
    """One way to quantize: which operators, and how their activations get a range."""

    name: str
    static: bool
    operators: tuple[str, ...]
    needs: tuple[str, ...]
    """It applies to graphs that have one of these."""


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("static", True, (*_CONVOLUTIONS, *_PRODUCTS, *_BETWEEN), _CONVOLUTIONS),
        # Nothing between the products: a mask's Add calibrates to a scale of 1e36.
        Scheme("static-products", True, _PRODUCTS, _PRODUCTS),
        # No convolutions: ConvInteger takes 4 times as long as float32 on x86.
        Scheme("dynamic", False, (*_PRODUCTS, "LSTM"), (*_PRODUCTS, "LSTM")),
    )
}


def applicable(artifact: OnnxArtifact) -> tuple[Scheme, ...]:
    """The schemes that would quantize something in this graph, in the order of the table."""
    found = _operators(artifact)
    chosen = [s for s in SCHEMES.values() if found & set(s.needs)]
    if any(s.name == "static" for s in chosen):  # it includes the products
        chosen = [s for s in chosen if s.name != "static-products"]
    return tuple(chosen)


def _operators(artifact: OnnxArtifact) -> set[str]:
    return {n.op_type for n in read_graph(artifact.path).graph.node}


def quantize(
    artifact: OnnxArtifact,
    scheme: Scheme,
    data: Data,
    out: Path,
    *,
    time_limit: float = 1800.0,
    memory_limit: int | None = None,
    log: Path | None = None,
) -> OnnxArtifact:
    """Write the artifact in int8 at `out`, calibrated on the first CALIBRATION_ROWS rows of `data`.

    Raises StageCrashed where the quantizer fails or runs out of time or memory, InputError where
    the graph has nothing that the scheme quantizes.
    """
    if not _operators(artifact) & set(scheme.needs):
        raise InputError(
            f"'{artifact.path.name}' has nothing for scheme {scheme.name} to quantize",
            "it wants one of " + ", ".join(scheme.needs),
        )
    reduce_range = cpu.saturates()
    raw = out.with_name(f"{out.stem}.raw.onnx")
    with Worker(f"quantization ({scheme.name})", memory=memory_limit, log=log) as worker:
        worker.call(
            f"{__name__}:_quantize",
            _calibration(data) if scheme.static else {},
            timeout=time_limit,
            model=str(artifact.path),
            out=str(raw),
            scheme=scheme.name,
            reduce_range=reduce_range,
            large=artifact.size > EXTERNAL_ABOVE,
        )
    bits = " with 7-bit weights" if reduce_range else ""
    stage = f"int8 {scheme.name}{bits} on {cpu.describe()}"
    return _adopt(raw, out, artifact.signature, artifact.provenance.then(stage, lossy=True))


def _adopt(raw: Path, out: Path, signature: Signature, provenance: Provenance) -> OnnxArtifact:
    from toolkit.optimize.pruning import drop_unused_opsets

    model = read_graph(raw)
    drop_unused_opsets(model)  # the quantizer adds eight that no node uses
    raw.unlink()
    return save(model, out, signature, provenance, weights=out.parent)


def _calibration(data: Data) -> dict[str, np.ndarray]:
    """Feeds numbered by batch: `3/pixels`."""
    feeds: dict[str, np.ndarray] = {}
    rows = 0
    for number, (feed, count) in enumerate(data.batches()):
        feeds |= {f"{number}/{name}": array for name, array in feed.items()}
        rows += count
        if rows >= CALIBRATION_ROWS:
            break
    return feeds


# What follows runs in the child.


def _quantize(
    arrays: Mapping[str, np.ndarray],
    model: str,
    out: str,
    scheme: str,
    reduce_range: bool,
    large: bool,
) -> tuple[None, dict[str, Any]]:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    chosen = SCHEMES[scheme]
    prepared = _prepared(Path(model), Path(out).with_suffix(".prepared.onnx"), large=large)
    options: dict[str, Any] = {
        "weight_type": QuantType.QInt8,
        "per_channel": True,
        "reduce_range": reduce_range,
        "op_types_to_quantize": list(chosen.operators),
        "use_external_data_format": large,
    }
    try:
        if chosen.static:
            quantize_static(
                prepared,
                out,
                _Reader(arrays),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                **options,
            )
        else:
            quantize_dynamic(prepared, out, **options)
    finally:
        if prepared != model:
            for file in (Path(prepared), Path(f"{prepared}.data")):
                file.unlink(missing_ok=True)
    return None, {}


def _prepared(model: Path, out: Path, *, large: bool) -> str:
    """The model with shapes inferred and batch norms folded; itself where that fails."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    for symbolic in (True, False):
        try:
            quant_pre_process(
                str(model),
                str(out),
                skip_symbolic_shape=not symbolic,
                save_as_external_data=large,
                all_tensors_to_one_file=True,
                external_data_location=f"{out.name}.data" if large else None,
            )
            return str(out)
        except Exception as error:
            print(f"pre-processing (symbolic shapes: {symbolic}) failed: {error}")
    return str(model)


class _Reader:
    """onnxruntime's CalibrationDataReader protocol over numbered feeds."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        numbered: dict[str, dict[str, np.ndarray]] = {}
        for key, array in arrays.items():
            number, _, name = key.partition("/")
            numbered.setdefault(number, {})[name] = array
        self._feeds: Iterator[dict[str, np.ndarray]] = iter(numbered.values())

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)
