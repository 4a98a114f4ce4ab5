"""Branches and loops on values and on dynamic sizes: ONNX's If and Loop.

torch.export runs the model once. A branch on a value stops it, a branch on a size narrows the
program to one way, a loop over a length is unrolled. Here the user's own functions are, while they
are traced, rewritten: the ways of a branch and the body of a loop become closures, and whether one
is run as Python or becomes an ONNX subgraph is decided when it is reached (`runtime.py`). The
case that made it necessary: `if x.shape[0] > 3` came out wrong, silently, from both of torch's
exporters.

What lives where: `syntax.py` rewrites (comprehensions first become loops, `comprehensions.py`),
`names.py` reads which names a block needs, `functions.py` finds the functions and swaps their code,
`sizes.py` has tests and numbers that are not known while tracing, `known.py` those that a model's
own tensors decide, `sequences.py` what has such a length, `standing_in.py` Python's functions of
both, `capture.py` finds what a closure uses, `effects.py` what it changes, `branches.py` and
`loops.py` write the subgraphs. What steps append to lists is noted in `recorder.py`, carried along
as `rows.py` says, and `stacked.py` is what a list is behind its loop.
"""

from exporters.rewrites import Family
from exporters.rewrites.control.functions import relent, rewritten

FAMILY = Family("control", tracing=rewritten, relents=relent)
