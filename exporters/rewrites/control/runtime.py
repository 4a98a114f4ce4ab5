"""What rewritten functions call, while they are traced: one name for each kind of statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from exporters.rewrites.control import caches, effects, lowering, sequences
from exporters.rewrites.control.branches import (
    alarm,
    asserted,
    both,
    branch,
    chained,
    choose,
    contained,
    either,
    negated,
)
from exporters.rewrites.control.idioms import substituted
from exporters.rewrites.control.loops import during, each
from exporters.rewrites.control.sequences import columns, listed, repeated, taken
from exporters.rewrites.control.sizes import compared
from exporters.rewrites.control.standing_in import of_numbers

__all__ = [
    "alarm",
    "asserted",
    "both",
    "branch",
    "chained",
    "choose",
    "columns",
    "compared",
    "contained",
    "during",
    "each",
    "either",
    "index_of",
    "listed",
    "negated",
    "of_numbers",
    "repeated",
    "substituted",
    "taken",
]

index_of = np.s_
"""Of what stands in brackets, the index that it is."""


@contextmanager
def tracing(model: nn.Module) -> Iterator[None]:
    """While the model is traced its attributes are watched, and so is what knows no length."""
    with (
        caches.by_size(model),
        effects.watching(model),
        sequences.understood(),
        lowering.mended(),
    ):
        yield
