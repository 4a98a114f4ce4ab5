"""The smallest set of switches that heals."""

import pytest

from toolkit.parity.bisect import culprits

NAMES = [f"s{n}" for n in range(32)]


@pytest.mark.parametrize(
    "guilty",
    [{"s0"}, {"s31"}, {"s7"}, {"s3", "s4"}, {"s0", "s15", "s31"}],
    ids=lambda s: "+".join(sorted(s)),
)
def test_finds_those_that_must_be_off_together(guilty: set[str]) -> None:
    calls = []

    def healed(off: frozenset[str]) -> bool:
        calls.append(off)
        return guilty <= off

    assert set(culprits(NAMES, healed)) == guilty
    assert len(calls) <= 2 * len(guilty) * 5 + 2 * len(guilty) + 1  # log2(32) = 5


def test_one_of_two_that_each_heal_is_enough() -> None:
    found = culprits(NAMES, lambda off: bool(off & {"s5", "s20"}))
    assert len(found) == 1
    assert found[0] in ("s5", "s20")


@pytest.mark.parametrize("names", [[], NAMES], ids=["none", "all"])
def test_names_none_where_all_off_is_not_enough(names: list[str]) -> None:
    assert culprits(names, lambda off: False) == ()
