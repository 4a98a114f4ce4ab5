"""Export under a signature that was proposed: made narrower until a file holds, and said so.

A signature that somebody asked for is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from toolkit.errors import InputError, OnnxportError, ParityError
from toolkit.model import LoadedModel, held_to
from toolkit.narrowing import narrowed
from toolkit.parity.reference import Reference
from toolkit.pipeline.references import reference_model
from toolkit.progress import SILENT, Listener
from toolkit.proposal.proposing import narrower
from toolkit.signature import Signature

Result = TypeVar("Result")
Attempt = Callable[[LoadedModel, Reference, Path], Result]
"""Export this model, held against this reference, within this empty folder."""


def announce(model: LoadedModel, listener: Listener) -> None:
    """Say the signature that was found, and what it leaves out and why."""
    if model.proposed:
        listener.say("proposed signature:\n" + str(model.signature))
        for note in model.notes:
            listener.say(f"note: {note}")


def settle(
    model: LoadedModel,
    folder: Path,
    attempt: Attempt[Result],
    *,
    log: Path,
    out: Path,
    listener: Listener = SILENT,
) -> tuple[LoadedModel, Reference, Result]:
    """The result of an attempt, with the model under the signature for which it was had.

    Where none holds and the signature was proposed: with the dimensions as narrow as an exporter
    says that it can, then with all but the batch as in the example, then with that as well. Raises
    what the last attempt raised; `log` is then kept beside `out`, which is not made.
    """
    try:
        return _settled(model, folder, attempt, listener)
    except OnnxportError as error:
        if log.exists():
            kept = log.replace(out.with_name(out.name + ".log"))
            error.hint += f"{'; ' if error.hint else ''}all of it is in {kept.name}"
        raise


def _settled(
    model: LoadedModel, folder: Path, attempt: Attempt[Result], listener: Listener
) -> tuple[LoadedModel, Reference, Result]:
    reference = reference_model(model)
    for number in range(_MOST):
        room = folder / f"attempt-{number}"
        room.mkdir()
        try:
            return model, reference, attempt(model, reference, room)
        except (ParityError, InputError) as error:
            less = _less(model, error) if model.proposed and number < _MOST - 1 else None
            if less is None:
                raise
            model, reference = less, reference_model(less)
            listener.say("narrower:\n" + str(model.signature))
    raise AssertionError("the last attempt returns or raises")


_MOST = 5


def _less(model: LoadedModel, error: OnnxportError) -> LoadedModel | None:
    note = f"narrower than what PyTorch accepts: {error.hint}"
    for signature in _narrower(model, error):
        try:
            less = held_to(model, signature)
        except InputError:
            continue
        if less.examples:
            return replace(less, notes=(*model.notes, note))
    return None


def _narrower(model: LoadedModel, error: OnnxportError) -> Iterator[Signature]:
    signature = model.signature
    within = narrowed(signature, error.limits)
    if within and within.dims != signature.dims:
        yield within
    yield from narrower(signature, model.examples[0])
