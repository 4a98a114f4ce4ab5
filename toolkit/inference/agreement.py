"""Did two runtimes write different tokens because one is wrong, or because two words were tied?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np

from toolkit.dtypes import epsilon
from toolkit.inference.generation import Generator
from toolkit.inference.search import log_softmax

_FACTOR = 8.0
"""That of the parity check: how many times float32's own error another runtime may be off."""


def equally_good(
    plain: Generator,
    exact: Generator,
    source: Mapping[str, np.ndarray] | None,
    prompt: Sequence[int],
    expected: Sequence[int],
    got: Sequence[int],
    *,
    most: int,
    whole: bool,
) -> bool:
    """Is `got` as probable as `expected`, as far as float32 can tell?

    `plain` and `exact` are the original in its own precision and in float64; `source` is the one
    row that was given to the encoder. Greedy texts are compared where they part, as from there on
    they have different pasts; `whole` ones (of beam search) by all of their tokens.
    """
    end = plain.generation.end
    one, other = ([*t, end] if len(t) < most else [*t] for t in (expected, got))
    if one == other:
        return True
    start = 0
    if not whole:
        start = next(i for i, (a, b) in enumerate(zip_longest(one, other)) if a != b)
        one, other = one[: start + 1], other[: start + 1]

    def worth(subject: Generator, text: Sequence[int]) -> float:
        scores = (subject.scores(source, [[*prompt, *text[:i]]]) for i in range(start, len(text)))
        return sum(
            float(log_softmax(s)[0, token]) for s, token in zip(scores, text[start:], strict=True)
        )

    truth = [worth(exact, text) for text in (one, other)]
    error = sum(abs(worth(plain, t) - w) for t, w in zip((one, other), truth, strict=True))
    floor = epsilon("float32") * max(1.0, *map(abs, truth))
    return truth[0] - truth[1] <= _FACTOR * max(error, floor)
