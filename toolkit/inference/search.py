"""Which token comes next: greedy and beam search over scores. Pure but for the step it is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Step = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(tokens [n], parents [n]) to the scores of what follows [n, words]: each row goes on from the
state of row `parents` of the last step, by one token."""


def greedy(step: Step, logits: np.ndarray, *, end: int, most: int) -> list[list[int]]:
    """The most probable token each time, until `end` or `most` of them; logits [rows, words]."""
    found: list[list[int]] = [[] for _ in logits]
    live = np.ones(len(logits), bool)
    same = np.arange(len(logits))
    for count in range(1, most + 1):
        tokens = logits.argmax(-1)
        live &= tokens != end
        for row in np.flatnonzero(live):
            found[row].append(int(tokens[row]))
        if not live.any() or count == most:
            break
        logits = step(tokens, same)
    return found


def beam_search(
    step: Step, logits: np.ndarray, *, beams: int, end: int, most: int, length_penalty: float
) -> list[list[int]]:
    """The best finished hypothesis of each row; logits [rows * beams, words], beams side by side.

    A hypothesis that ends is worth log p / length ** length_penalty, its end token counted; a row
    is done when `beams` of them have ended. What has not ended after `most` tokens counts as it
    stands. Wu et al.: Google's neural machine translation system, 2016, section 7, with the length
    penalty of Hugging Face's generate.
    """
    rows, words = len(logits) // beams, logits.shape[-1]
    worth = np.full((rows, beams), -np.inf)
    worth[:, 0] = 0  # all beams start equal: only one may branch out
    texts = [[[] for _ in range(beams)] for _ in range(rows)]  # type: list[list[list[int]]]
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(rows)]
    for count in range(1, most + 1):
        totals = (worth[:, :, None] + log_softmax(logits).reshape(rows, beams, words)).reshape(
            rows, -1
        )
        parents = np.zeros((rows, beams), np.int64)
        tokens = np.full((rows, beams), end)
        for row in range(rows):
            kept: list[tuple[int, int, float]] = []
            done = len(ended[row]) >= beams  # and waits for the rows beside it
            # Of 2 * beams at most `beams` end, one a parent: enough are left to go on with.
            for rank, index in enumerate(largest(totals[row], 2 * beams)):
                parent, token = divmod(int(index), words)
                value = float(totals[row, index])
                if token != end:
                    kept.append((parent, token, value))
                elif rank < beams and value > -np.inf and not done:
                    ended[row].append((value / count**length_penalty, texts[row][parent]))
            kept = kept[:beams]
            texts[row] = [[*texts[row][parent], token] for parent, token, _ in kept]
            parents[row], tokens[row], worth[row] = zip(*kept, strict=True)
        if all(len(e) >= beams for e in ended) or count == most:
            break
        first = np.arange(rows)[:, None] * beams
        logits = step(tokens.ravel(), (first + parents).ravel())
    for row in range(rows):
        if len(ended[row]) < beams:
            values = worth[row] / count**length_penalty
            ended[row] += list(zip(values.tolist(), texts[row], strict=True))
    return [max(e, key=lambda pair: pair[0])[1] for e in ended]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log p over the last axis, in float64: sums over a sequence then lose nothing."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the `count` largest, the largest first; of equals the first place first."""
    count = min(count, len(values))
    least = -np.partition(-values, count - 1)[count - 1]
    some = np.flatnonzero(~(values < least))  # all that tie for the last place too; NaN comes last
    return some[np.argsort(-values[some], kind="stable")][:count]
