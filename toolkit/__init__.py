"""onnxport: declare once what a model accepts, and get ONNX that is proven to behave the same.

    import toolkit

    toolkit.export(module, "model.onnx", signature="x: float32[batch, 4]; where batch = 1..64")
    toolkit.check("model.onnx", against=module).holds
    toolkit.load("model.onnx").run({"x": array})

Everything that the command line does is one call here. Names load what they need when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.diagnosis import doctor as doctor
    from toolkit.errors import OnnxportError as OnnxportError
    from toolkit.inspection import inspect as inspect
    from toolkit.parity.fidelity import Budget as Budget
    from toolkit.parity.verdict import Tolerance as Tolerance
    from toolkit.pipeline.bench import bench as bench
    from toolkit.pipeline.check import check as check
    from toolkit.pipeline.check_sequence import check_sequence as check_sequence
    from toolkit.pipeline.export import export as export
    from toolkit.pipeline.generate import generate as generate, generator as generator
    from toolkit.pipeline.load import load as load
    from toolkit.pipeline.matrix import check_all as check_all
    from toolkit.pipeline.project import check_project as check_project
    from toolkit.pipeline.quantize import quantize as quantize
    from toolkit.pipeline.run import run as run
    from toolkit.pipeline.sequence import ship_sequence as ship_sequence
    from toolkit.pipeline.ship import ship as ship
    from toolkit.pipeline.simplify import simplify as simplify
    from toolkit.signature import Signature as Signature

_HOMES = {
    "Budget": "toolkit.parity.fidelity:Budget",
    "OnnxportError": "toolkit.errors:OnnxportError",
    "Signature": "toolkit.signature:Signature",
    "Tolerance": "toolkit.parity.verdict:Tolerance",
    "bench": "toolkit.pipeline.bench:bench",
    "check": "toolkit.pipeline.check:check",
    "check_all": "toolkit.pipeline.matrix:check_all",
    "check_project": "toolkit.pipeline.project:check_project",
    "check_sequence": "toolkit.pipeline.check_sequence:check_sequence",
    "doctor": "toolkit.diagnosis:doctor",
    "export": "toolkit.pipeline.export:export",
    "generate": "toolkit.pipeline.generate:generate",
    "generator": "toolkit.pipeline.generate:generator",
    "inspect": "toolkit.inspection:inspect",
    "load": "toolkit.pipeline.load:load",
    "quantize": "toolkit.pipeline.quantize:quantize",
    "run": "toolkit.pipeline.run:run",
    "ship": "toolkit.pipeline.ship:ship",
    "ship_sequence": "toolkit.pipeline.sequence:ship_sequence",
    "simplify": "toolkit.pipeline.simplify:simplify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'toolkit' has no attribute '{name}'")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(_HOMES)
