"""Narrower signatures: what an exporter holds for, offered in a form to paste."""

import pytest

from toolkit.narrowing import in_one_line, narrowed
from toolkit.signature import Signature

WHOLE = "x: float32[batch, t, 4]\nwhere batch = 1..64, t = 8..32 step 8"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "batch = 1..64, t = 8..32 step 8"),
        ({"batch": [4, 64]}, "batch = 4..64, t = 8..32 step 8"),
        ({"batch": [2, 7], "t": [9, 31]}, "batch = 2..7, t = 16..24 step 8"),
        ({"t": [16, 16]}, "batch = 1..64, t = 16..16 step 8"),
        ({"batch": [0, 1000]}, "batch = 1..64, t = 8..32 step 8"),
    ],
)
def test_sizes_outside_of_the_limits_are_gone(limits: dict[str, list[int]], expected: str) -> None:
    found = narrowed(Signature.parse(WHOLE), limits)
    assert str(found) == f"x: float32[batch, t, 4]\nwhere {expected}"


def test_choices_are_kept_where_they_lie_within() -> None:
    found = narrowed(Signature.parse("x: float32[n]\nwhere n = {2, 4, 9}"), {"n": [3, 9]})
    assert str(found) == "x: float32[n]\nwhere n = {4, 9}"


def test_nothing_is_left_where_no_size_lies_within() -> None:
    assert narrowed(Signature.parse(WHOLE), {"t": [9, 15]}) is None


def test_one_line_reads_back_as_the_same_signature() -> None:
    whole = Signature.parse('ids:  int64[batch] in 0..9\n"m x": bool[batch]\nwhere batch = 1..4')
    assert Signature.parse(in_one_line(whole)) == whole
