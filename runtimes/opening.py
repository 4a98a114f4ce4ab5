"""Sessions of ONNX Runtime: the device that was asked for, and its own reason where it refuses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnxruntime as ort

from toolkit.errors import InputError, MissingError, NotLoadable

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def opened(
    model: Path | bytes,
    device: str,
    level: Any,
    *,
    without: Collection[str] = (),
    severity: int = 3,
) -> ort.InferenceSession:
    """Raises NotLoadable where the file is refused, MissingError where another device would run it.

    `severity` 3: errors only, as warnings about shapes are the parity check's to make.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = severity
    if device == "cpu":
        return _loaded(model, options, [CPU], without)
    # TF32 is on by default and costs 13 bits of each product: a parity check could not pass.
    cuda = (CUDA, {"use_tf32": "0"})
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with contextlib.suppress(InputError):
        return _loaded(model, options, [cuda], without)
    # Shape arithmetic belongs on the CPU and then needs its provider; CUDA must still come first.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
    session = _loaded(model, options, [cuda, CPU], without)
    if session.get_providers()[0] != CUDA:
        raise MissingError("ONNX Runtime fell back to the CPU", "see `onnxport doctor`")
    return session


def _loaded(
    model: Path | bytes,
    options: ort.SessionOptions,
    providers: list[Any],
    without: Collection[str] = (),
) -> ort.InferenceSession:
    source, name = (str(model), model.name) if isinstance(model, Path) else (model, "its helper")
    try:
        return ort.InferenceSession(
            source, options, providers=providers, disabled_optimizers=set(without)
        )
    except Exception as error:
        raise NotLoadable(
            f"ONNX Runtime {ort.__version__} cannot load '{name}': {reason(error)}",
            "`onnxport inspect` shows its opset and operators",
        ) from error


def reason(error: Exception) -> str:
    """What ONNX Runtime says, on one line and without its error codes."""
    text = " ".join(str(error).split())
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", text)[:300]
