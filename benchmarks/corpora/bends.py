"""(e) Some ninety small modules of our own that bend the rules, as real users write them.

Each runs by eager PyTorch over its whole signature; two are random or leave the graph on purpose,
and a right exporter refuses those.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.corpora import (
    bends_branches,
    bends_data,
    bends_layers,
    bends_loops,
    bends_python,
    bends_wild,
)
from benchmarks.corpora.cases import Case


def cases() -> Iterator[Case]:
    for file in (bends_branches, bends_loops, bends_data, bends_python, bends_wild, bends_layers):
        yield from file.bend.cases
