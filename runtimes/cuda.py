"""Whether ONNX Runtime's CUDA provider works here; which library is missing where it does not."""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort

from runtimes.opening import CUDA, reason

_PACKAGES = {
    "libcublas": "nvidia-cublas",
    "libcublasLt": "nvidia-cublas",
    "libcudart": "nvidia-cuda-runtime",
    "libcudnn": "nvidia-cudnn-cu13",
    "libcufft": "nvidia-cufft",
    "libcurand": "nvidia-curand",
    "libnvrtc": "nvidia-cuda-nvrtc",
}
"""The pip package that carries each library which the CUDA provider of onnxruntime 1.31 loads."""

_CURE = "pip install 'onnxruntime-gpu[cuda,cudnn]' nvidia-cublas; the driver must know CUDA 13"


@cache
def problem() -> tuple[str, str] | None:
    """Why the CUDA provider does not work here and how to mend it; None where it works."""
    if CUDA not in ort.get_available_providers():
        return (
            "this ONNX Runtime is a build without CUDA",
            "pip uninstall -y onnxruntime; pip install --force-reinstall onnxruntime-gpu",
        )
    try:
        ctypes.CDLL("libcuda.so.1" if hasattr(ctypes, "RTLD_GLOBAL") else "nvcuda.dll")
    except OSError:
        return ("this machine has no NVIDIA driver (libcuda is missing)", "use --device cpu")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
        ort.preload_dlls()  # finds the nvidia-* wheels beside it; prints, never raises
    return _missing_library() or _failing_session()


def _missing_library() -> tuple[str, str] | None:
    folder = Path(ort.__file__).parent / "capi"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            if (folder / name).exists():
                ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)
    except OSError as error:
        found = re.match(r"(lib\w+?)[.\-]\S*", str(error))
        if found and found[1] in _PACKAGES:
            return (
                f"CUDA library {found[0]} is missing".replace(":", ""),
                f"pip install {_PACKAGES[found[1]]}",
            )
    return None


def _failing_session() -> tuple[str, str] | None:
    """Open a tiny session on the GPU: the only sure sign that the provider works."""
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [value], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=[CUDA])
        session.run(None, {"x": np.ones(1, np.float32)})
        works = session.get_providers()[0] == CUDA
    except Exception as error:
        return (f"the CUDA provider fails: {reason(error)}", _CURE)
    return None if works else ("the CUDA provider does not load", _CURE)
