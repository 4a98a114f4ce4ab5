"""Which of many switches are to blame: the smallest set that heals, found by halving. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Healed = Callable[[frozenset[str]], bool]
"""Is it right with these switched off?"""


def culprits(names: Sequence[str], healed: Healed) -> tuple[str, ...]:
    """The names that must be off together, none of them in vain; empty where all off is not enough.

    QuickXplain (Junker, AAAI 2004): about 2 k log2(n / k) + 2 k calls for k culprits among n. Where
    more off is not always better, it still heals, and may be more than is needed.
    """
    if not names or not healed(frozenset(names)):
        return ()
    found = _needed(frozenset(), frozenset(), list(names), healed)
    return tuple(name for name in names if name in found)


def _needed(
    off: frozenset[str], new: frozenset[str], among: Sequence[str], healed: Healed
) -> frozenset[str]:
    """What of `among` must be off beside `off`; `new` is what was added to `off` last."""
    if new and healed(off):
        return frozenset()
    if len(among) == 1:
        return frozenset(among)
    half = len(among) // 2
    first, second = among[:half], among[half:]
    late = _needed(off | {*first}, frozenset(first), second, healed)
    early = _needed(off | late, late, first, healed)
    return late | early
