"""Whether a difference matters: by what is done with an output of its kind."""

import numpy as np
import pytest

from toolkit.errors import InputError
from toolkit.parity.comparators import Meaning, Meanings
from toolkit.parity.expectation import Expectation
from toolkit.signature import Signature


def meant(kind: str, truth: object, got: object, plain: object = None) -> Meaning:
    """What a difference of the output `y`, which is said to be of a kind, comes to."""
    right = np.array(truth)
    right = right.astype(np.float32) if right.dtype == np.float64 else right
    own = right if plain is None else np.array(plain, right.dtype)
    meanings = Meanings(Signature.parse(f"x: float32[1]; y as {kind}"))
    expected = Expectation({"y": own}, {"y": right.astype(np.float64)})
    meanings.add(expected, {"y": np.array(got, right.dtype)})
    (found,) = meanings.result()
    return found


BOX = [[[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 7.0]]]
PIXELS = [[[True] * 20, [False] * 20]]
SHIFTED = [[[True] * 18 + [False] * 2, [False] * 20]]


@pytest.mark.parametrize(
    ("kind", "truth", "got", "says"),
    [
        ("logits", [[1.0, 2.0]], [[1.0, 2.5]], "the same class wins in all 1 rows"),
        ("logits", [[-np.inf, 2.0]], [[-np.inf, 2.0]], "the same class wins in all 1 rows, KL at"),
        ("probabilities", [[0.4, 0.6]], [[0.49, 0.51]], "KL at most 0.016"),
        ("embeddings", [[1.0, 0], [0.9, 0.1], [0, 1]], [[2.0, 0], [0.9, 0.1], [0, 1]], "for all"),
        ("boxes", BOX, [BOX[0][::-1]], "IoU at least 1, mean 1 over 2 boxes"),
        ("masks", PIXELS, PIXELS, "mIoU 1, least 1, 0 of 40 pixels change sides"),
        ("tokens", [[1, 2, 3]], [[1, 2, 3]], "all 1 rows are equal"),
        ("audio", [[0.5, -0.5]], [[0.5, -0.50001]], "SNR at least 97.0 dB, off by at most 0.33"),
    ],
)
def test_what_changes_no_decision_does_not_matter(
    kind: str, truth: object, got: object, says: str
) -> None:
    found = meant(kind, truth, got)
    assert says in found.text
    assert str(found).endswith("the difference does not matter")


@pytest.mark.parametrize(
    ("kind", "truth", "got", "says"),
    [
        ("logits", [[0.0, 1.0], [9.0, 1]], [[1.0, 0.5], [9, 1]], "another class wins in 1 of 2"),
        ("logits", [[0.0, 1.0]], [[1.0, 0.5]], "by at most 0.46 of probability"),
        ("embeddings", [[1.0, 0], [0.9, 0.1], [0, 1]], [[0, 1.0], [0.9, 0.1], [0, 1]], "rank 2"),
        ("boxes", BOX, [[[0.0, 0, 2, 1.75], [5, 5, 6, 7]]], "IoU at least 0.8750"),
        ("masks", PIXELS, SHIFTED, "least 0.9000, 2 of 40 pixels change sides"),
        (
            "tokens",
            [[1, 2, 3], [4, 5, 6]],
            [[1, 9, 3], [4, 5, 6]],
            "common prefix is 1 of 3 tokens",
        ),
        ("audio", [[0.5, -0.5]], [[0.5, -0.499]], "off by at most 33 steps of 16 bits"),
    ],
)
def test_what_changes_a_decision_matters(kind: str, truth: object, got: object, says: str) -> None:
    found = meant(kind, truth, got)
    assert says in found.text
    assert found.matters


def test_a_tie_that_float32_does_not_settle_is_no_decision() -> None:
    found = meant("logits", [[1.0, 1.0000001]], [[1.0, 0.99]], plain=[[1.0, 0.9999999]])
    assert "all 1 rows but for 1 ties" in found.text
    assert not found.matters


@pytest.mark.parametrize("centres", [True, False], ids=["centre and size", "corners"])
def test_boxes_are_read_either_way(centres: bool) -> None:
    boxes = [[[1.0, 1, 0.5, 0.5]]] if centres else [[[0.75, 0.75, 1.25, 1.25]]]
    other = [[[1.0, 1, 0.5, 0.25]]] if centres else [[[0.75, 0.875, 1.25, 1.125]]]
    assert "IoU at least 0.5" in meant("boxes", boxes, other).text


@pytest.mark.parametrize(
    ("name", "array", "kind"),
    [
        ("logits", np.zeros((2, 3), np.float32), "logits"),
        ("start_logits", np.zeros((2, 3), np.float32), "logits"),
        ("logits", np.zeros((2, 1), np.float32), None),  # of a regression
        ("output_0", np.full((2, 4), 0.25, np.float32), "probabilities"),
        ("text_embeds", np.zeros((2, 3), np.float32), "embeddings"),
        ("pred_boxes", np.zeros((2, 9, 4), np.float32), "boxes"),
        ("masks", np.zeros((2, 5, 5), np.float32), "masks"),
        ("attention_mask", np.zeros((2, 5), np.int64), None),
        ("tokens", np.zeros((2, 5), np.int64), "tokens"),
        ("audio_values", np.zeros((2, 1, 50), np.float32), "audio"),
        ("hidden", np.zeros((2, 5, 8), np.float32), None),
    ],
)
def test_a_name_tells_where_the_shape_agrees(
    name: str, array: np.ndarray, kind: str | None
) -> None:
    meanings = Meanings(Signature.parse("x: float32[1]"))
    meanings.add(Expectation({name: array}, {name: array.astype(np.float64)}), {name: array})
    assert [m.kind for m in meanings.result()] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("y as pictures", "'y' is of no kind 'pictures'"),
        ("y as boxes", r"'y' is float32\[2, 3\], no boxes"),
        ("z as logits", "the signature speaks of an output 'z', which there is not"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(line: str, error: str) -> None:
    meanings = Meanings(Signature.parse(f"x: float32[1]; {line}"))
    y = np.zeros((2, 3), np.float32)
    with pytest.raises(InputError, match=error):
        meanings.add(Expectation({"y": y}, {"y": y.astype(np.float64)}), {"y": y})
