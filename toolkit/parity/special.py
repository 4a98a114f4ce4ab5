"""What counts as a difference where the input holds NaN, infinities, denormals or -0.0.

PyTorch, ONNX and C leave much of this open, and right files would be called wrong:

- Hardware and runtimes may take denormals, and the sign of a zero, for +0. A candidate that returns
  what the original returns for +0 does not differ.
- Where the original itself returns NaN or infinity, the way there is the program's own: an
  overflow, infinity minus infinity, in another order. Which of them comes is not compared.
- Where it returns numbers, the graph has to say the same ones. A runtime whose kernel does not
  (ONNX Runtime's Relu makes 0 of NaN) is noted, and the file holds.
- Infinities count where the signature names them (`x: float32[n] in -inf..inf`): where it says
  nothing of values, they are seldom meant, and a decomposed atan2 of two of them is off.
- What orders or counts numbers has no defined place for NaN, and a cast of it to an integer is
  undefined in C: after an argmax, a sort or such a cast nothing is compared.

All that is noted in the report, and not counted as proven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from toolkit import examples
from toolkit.errors import OnnxportError
from toolkit.parity import blocks
from toolkit.parity.expectation import Arrays, Expectation
from toolkit.parity.reference import Reference
from toolkit.parity.verdict import Judgement

SPECIAL = examples.SPECIAL

FINITE = ("negative-zero", "denormal")
"""Those of them that are numbers: what differs only by rounding may be heard again."""

FLUSHED = "what the original returns with 0 for denormals and for -0"
UNDEFINED = "NaN has no defined place in what the file orders, or casts to integers"
OF_RUNTIME = "the graph is right there, and the runtime treats NaN or infinity in its own way"
UNDECLARED = "infinities depart; they would count in a signature that says so: in -inf..inf"
NOT_FINITE = "only where the original itself returns NaN or infinity"
REFUSED = "refused by the candidate"

Judged = Callable[[Arrays, Expectation, Mapping[str, np.ndarray]], tuple[Judgement, ...]]
"""Judge outputs against an expectation, at the positions of each output that count."""


def finite(expected: Expectation) -> dict[str, np.ndarray]:
    """By output, where the original returns numbers, in both precisions."""
    return {
        name: _are_finite(plain, expected.truth[name]) for name, plain in expected.plain.items()
    }


def _are_finite(plain: np.ndarray, truth: np.ndarray) -> np.ndarray:
    found = np.empty(plain.shape, bool)
    for place in blocks.places(plain.shape):
        own, true = (a[place].astype(np.float64, copy=False) for a in (plain, truth))
        found[place] = np.isfinite(own) & np.isfinite(true)
    return found


def excuse(
    fill: str,
    feeds: Arrays,
    expected: Expectation,
    got: Arrays,
    *,
    reference: Reference,
    judged: Judged,
    graph: Callable[[], Arrays | None],
    ordered: Callable[[], bool],
) -> str:
    """Why a departure at a special fill is no difference; empty where it is one.

    `graph`: the outputs of the candidate's graph, evaluated in float64 by other code. `ordered`:
    does the candidate order numbers, or cast them to integers?
    """
    if fill in FINITE:
        try:
            plain = reference.expect(examples.flushed(feeds))
        except OnnxportError:
            return ""
        return FLUSHED if all(j.holds for j in judged(got, plain, {})) else ""
    if ordered():
        return UNDEFINED
    counted = finite(expected)
    if all(j.holds for j in judged(got, expected, counted)):
        return NOT_FINITE
    on_paper = graph()
    if on_paper is not None and all(j.holds for j in judged(on_paper, expected, counted)):
        return OF_RUNTIME
    return UNDECLARED if fill == "infinite" and not _declares_infinity(reference) else ""


def _declares_infinity(reference: Reference) -> bool:
    inputs = reference.signature.inputs
    return any(examples.offers(s, "infinite") and s.values is not None for s in inputs)
