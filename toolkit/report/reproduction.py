"""Scripts that show one difference with torch, onnxruntime and numpy alone: for an upstream issue.

Each lies beside a model and its inputs, prints what it sees and exits 1 where the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence

_HEAD = '''"""{title}

{about}
Run it in this folder: python {file}. It exits 1 where the difference is seen.
"""

import sys

import numpy as np
import onnxruntime as ort
{imports}

FACTOR, ULPS = {factor:g}, {ulps:g}
ATOL, RTOL = {atol!r}, {rtol!r}  # where they are numbers, they replace the two above


def run(model, feeds, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL, without=()):
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 3
    cpu = ["CPUExecutionProvider"]
    session = ort.InferenceSession(model, options, cpu, disabled_optimizers=list(without))
    return session.run(None, feeds)


def differs(name, found, truth, plain=None):
    """Is it off by more than FACTOR times what its precision accounts for?"""
    print(f"{{name}}: {{found.dtype}}{{list(found.shape)}}")
    if found.size != truth.size:
        print(f"  expected {{list(truth.shape)}}")
        return True
    wide, exact = (a.reshape(-1).astype(np.float64) for a in (found, truth))
    with np.errstate(invalid="ignore"):
        same = (wide == exact) | (np.isnan(wide) & np.isnan(exact))
        apart = np.where(same, 0.0, np.abs(wide - exact))
    apart[np.isnan(apart)] = np.inf
    finite = np.abs(exact[np.isfinite(exact)])
    scale = float(finite.max(initial=0.0))
    ulp = np.finfo(found.dtype).eps if found.dtype.kind == "f" else 0.0
    unit = ULPS * ulp * scale
    if plain is not None:
        own = np.abs(plain.reshape(-1).astype(np.float64) - exact)
        unit = max(unit, float(own[np.isfinite(own)].max(initial=0.0)))
    allowed = FACTOR * unit
    if ATOL is not None or RTOL is not None:
        allowed = (ATOL or 0.0) + (RTOL or 0.0) * np.abs(exact)
    worst = int(apart.argmax())
    print(f"  off by {{apart[worst]:.3g}}: {{wide[worst]:.9g}}, expected {{exact[worst]:.9g}}")
    print(f"  allowed {{float(np.max(allowed)):.3g}}, of values up to {{scale:.3g}}")
    return bool((apart > allowed).any())


feeds = dict(np.load("inputs.npz"))
'''

FILE = "reproduce.py"


def script(
    title: str,
    about: str,
    body: str,
    *,
    torch: bool = False,
    factor: float,
    ulps: float,
    atol: float | None = None,
    rtol: float | None = None,
) -> str:
    """The whole script; `body` sets `found`, a list of what `differs` said."""
    head = _HEAD.format(
        title=title,
        about=about,
        file=FILE,
        imports="import torch\n" if torch else "",
        factor=factor,
        ulps=ulps,
        atol=atol,
        rtol=rtol,
    )
    return head + body + "sys.exit(int(any(found)))\n"


def against_operator(output: str, call: str, tensors: Sequence[str], result: int) -> str:
    """The model's one output against an operator of PyTorch, in its precision and in float64."""
    names = "".join(f'    {name} = tensor("{name}", wide)\n' for name in tensors)
    return f"""arguments = np.load("arguments.npz")


def tensor(name, wide):
    found = torch.from_numpy(arguments[name])
    return found.double() if wide and found.is_floating_point() else found


def original(wide):
{names}    result = {call}
    return (result if isinstance(result, (tuple, list)) else (result,))[{result}].numpy()


onnx = run("model.onnx", feeds)[0]
found = [differs({output!r}, onnx, original(True), original(False))]
"""


def against_file(output: str) -> str:
    """The model's one output against that of another model, both without optimizations."""
    return f"""PLAIN = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
original = run("original.onnx", dict(np.load("original.npz")), PLAIN)[0]
found = [differs({output!r}, run("model.onnx", feeds, PLAIN)[0], original)]
"""


def against_itself(without: Sequence[str]) -> str:
    """All optimizations against none, and against all but those that are to blame."""
    return f"""NONE = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
truth = run("model.onnx", feeds, NONE)
found = [differs("all optimizations", *p) for p in zip(run("model.onnx", feeds), truth)]
WITHOUT = {list(without)!r}
if WITHOUT:
    healed = run("model.onnx", feeds, without=WITHOUT)
    for pair in zip(healed, truth):
        differs(f"without {{WITHOUT}}", *pair)
"""


def against_values() -> str:
    """The model's outputs against values that the original computed."""
    return """expected = np.load("expected.npz")
session = ort.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
found = [
    differs(name, array, expected[name])
    for name, array in zip(names, run("model.onnx", feeds))
    if name in expected
]
"""
