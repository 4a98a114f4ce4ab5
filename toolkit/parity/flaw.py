"""What is wrong with a file apart from any case: a weight that was damaged, a wrong epsilon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flaw:
    told: str
    """In one sentence."""
    at: str
    """The weight or node of the file that has it, by the file's name; "" where it has none."""
