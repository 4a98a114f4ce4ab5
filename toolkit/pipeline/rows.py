"""The user's rows in a check: cases beside the drawn ones, and what a lossy file is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from toolkit.artifact import OnnxArtifact
from toolkit.errors import InputError
from toolkit.examples import Feeds
from toolkit.inference.data import Data, from_arrays, open_data
from toolkit.parity.comparators import Meanings
from toolkit.parity.expectation import Expectation
from toolkit.parity.fidelity import Budget, Tally
from toolkit.parity.reference import Reference
from toolkit.plugins import Session
from toolkit.signature import Signature

_SHOWN = 32
"""Batches of data that are cases of a check, at most."""


def shown_of(
    examples: Any, data: Any, signature: Signature | str | None, artifact: OnnxArtifact | None
) -> Any:
    """The examples, else rows of the data; of a lossy file only where there is no other way."""
    if examples is not None or data is None or signature is None:
        return examples
    known = Signature.parse(signature) if isinstance(signature, str) else signature
    if artifact is not None and artifact.provenance.lossy and not known.from_data:
        return None
    return batches_in(opened(data, known))


def fitting(feeds: Any, signature: Signature) -> tuple[Feeds, ...]:
    """Mappings of arrays by input name, for a reference that is a file."""
    several = [feeds] if isinstance(feeds, Mapping) else feeds
    found = tuple({str(n): np.asarray(a) for n, a in feed.items()} for feed in several)
    for feed in found:
        signature.validate(feed)
    return found


def batches_in(data: Data | None) -> list[dict[str, np.ndarray]]:
    """Rows as feeds: what examples are where none came with a model."""
    return [] if data is None else [feed for feed, _ in islice(data.batches(), _SHOWN)]


def opened(data: Any, signature: Signature) -> Data | None:
    if data is None or isinstance(data, Data):
        return data
    if isinstance(data, dict):
        return from_arrays(data, signature)
    return open_data(data, signature)


def tallied(session: Session, reference: Reference, data: Data) -> tuple[Tally, Meanings]:
    """What all rows say of a lossy session, beside PyTorch in its own precision."""
    tally, meanings = Tally(), Meanings(reference.signature)
    for feed, _ in data.batches():
        data.signature.validate(feed)
        try:
            plain, got = (reference.kept(s.run(feed), feed) for s in (reference.plain, session))
            tally.add(plain, got)
            meanings.add(Expectation(plain, plain), got)
        except ValueError as error:
            raise InputError(str(error), "quantize fewer operators") from error
    return tally, meanings


def over_budget(tally: Tally, budget: Budget) -> list[str]:
    found = tally.result()
    if not found:
        return ["no floating output to judge a lossy model by"]
    return [
        f"{f}, below the budget of {budget.min_sqnr:g} dB"
        + (f" and {100 * budget.min_top1:g} %" if budget.min_top1 else "")
        for f in found
        if not f.within(budget)
    ]
