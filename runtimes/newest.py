"""The newest file that the installed ONNX Runtime loads."""

from __future__ import annotations

from functools import cache

import onnxruntime as ort

from runtimes.opening import CPU


@cache
def newest() -> tuple[int, int]:
    """It has no API for this: tiny files of rising versions are loaded until one is refused."""
    opset, ir_version = 17, 8
    while _loads(opset + 1, 8):
        opset += 1
    while _loads(17, ir_version + 1):
        ir_version += 1
    return opset, ir_version


def _loads(opset: int, ir_version: int) -> bool:
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "tiny", [x], [y])
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    except Exception:
        return False
    return True
