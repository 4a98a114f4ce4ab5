"""What an output is (logits, embeddings, boxes ...): as the signature says, or as it looks. Pure.

A name decides where shape and values agree with it: an output called `logits` with one class is a
number. Where no name tells, rows that are probabilities are taken for such, and nothing else is.
"""

from __future__ import annotations

import re

import numpy as np

from toolkit.dtypes import DTYPES
from toolkit.errors import InputError
from toolkit.parity.metrics import probabilities_of
from toolkit.signature import Signature

LOGITS, PROBABILITIES, EMBEDDINGS = "logits", "probabilities", "embeddings"
BOXES, MASKS, TOKENS, AUDIO = "boxes", "masks", "tokens", "audio"

KINDS = {
    LOGITS: "scores [..., classes] before a softmax, log-probabilities too",
    PROBABILITIES: "scores [..., classes] that add up to 1",
    EMBEDDINGS: "vectors [rows, width] that are compared by their angle",
    BOXES: "rectangles [..., 4]: corners, or centre and size",
    MASKS: "pixels [..., height, width] that are in or out",
    TOKENS: "whole numbers [..., length] that are read one after another",
    AUDIO: "a waveform [..., samples], of which 1.0 is the loudest",
}

_NAMES = {
    LOGITS: r"logits?|log_prob\w*",
    PROBABILITIES: r"prob\w*|scores",
    EMBEDDINGS: r"embed\w*|pooled|pooler_output",
    BOXES: r"box(es)?|bbox(es)?",
    MASKS: r"masks?",
    TOKENS: r"tokens?|ids|sequences?",
    AUDIO: r"audio\w*|wave\w*",
}
"""Words of a name, between underscores and dots."""


def kind_of(signature: Signature, output: str, array: np.ndarray) -> str:
    """The kind of an output that holds `array`; empty where it is none of them.

    Raises InputError where the signature names a kind that there is not, or one that does not fit.
    """
    said = dict(signature.kinds).get(output, "")
    if said:
        _require(output, said, array)
        return said
    for kind, words in _NAMES.items():
        named = re.search(rf"(^|[_.])({words})($|[_.\d])", output.lower())
        if named and _fits(kind, array) and _looks(kind, array):
            return kind
    return PROBABILITIES if _looks(PROBABILITIES, array) else ""


def require_outputs(signature: Signature, outputs: tuple[str, ...]) -> None:
    """Raises InputError where the signature speaks of an output that there is not."""
    for output, _ in (*signature.kinds, *signature.carried):
        if output not in outputs:
            raise InputError(
                f"the signature speaks of an output '{output}', which there is not",
                "outputs are: " + ", ".join(outputs),
            )


def _require(output: str, kind: str, array: np.ndarray) -> None:
    if kind not in KINDS:
        raise InputError(f"'{output}' is of no kind '{kind}'", "one of " + ", ".join(KINDS))
    if not _fits(kind, array):
        shape = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
        raise InputError(f"'{output}' is {shape}, no {kind}", f"{kind} are {KINDS[kind]}")


def _fits(kind: str, array: np.ndarray) -> bool:
    floating, last = DTYPES[str(array.dtype)].kind == "f", array.shape[-1:] or (0,)
    if kind == TOKENS:
        return not floating and array.ndim > 0
    if kind == MASKS:
        return array.ndim > 1
    ranks = {LOGITS: 2, PROBABILITIES: 2, EMBEDDINGS: 2, BOXES: 2, AUDIO: 1}
    wide = {BOXES: last[0] == 4, LOGITS: last[0] > 1, PROBABILITIES: last[0] > 1}
    rank = array.ndim == 2 if kind == EMBEDDINGS else array.ndim >= ranks[kind]
    return floating and rank and wide.get(kind, True)


def _looks(kind: str, array: np.ndarray) -> bool:
    floating = DTYPES[str(array.dtype)].kind == "f"
    if kind == PROBABILITIES:
        return floating and probabilities_of(array) not in (None, np.exp)
    if kind == TOKENS:
        return array.dtype != np.bool_
    return kind != MASKS or array.ndim > 2
