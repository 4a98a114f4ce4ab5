"""Latency of sources and files side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from toolkit import plugins
from toolkit.errors import UsageError
from toolkit.examples import Feeds
from toolkit.inference.isolated import IsolatedSession
from toolkit.latency import InProcess, Timed, Timing, measure, typical_sizes
from toolkit.pipeline.subjects import is_file, open_file, opened_source
from toolkit.signature import Signature


def bench(
    *subjects: Any,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    device: str = "cpu",
    sizes: Sequence[Mapping[str, int]] = (),
    budget: float = 4.0,
) -> list[Timing]:
    """Time `subjects` (PyTorch sources, modules, ONNX files, bundles) in turns; the first is 1.0.

    All are fed alike: the signature is the first file's own, else the first source's. `sizes`
    fixes the dimensions; without it one sample and a batch are timed. Raises UsageError where a
    size is not of the signature.
    """
    if not subjects:
        raise UsageError("nothing to time", "name a source or a file")
    timed: dict[str, Timed] = {}
    signatures: list[Signature] = []
    given: tuple[Feeds, ...] = ()
    with ExitStack() as stack:
        for subject in sorted(subjects, key=lambda s: not is_file(s)):
            contract = signature or (signatures[0] if signatures else None)
            if is_file(subject):
                artifact = open_file(subject, contract)
                session = IsolatedSession(artifact, device=device)
                timed[_label(subject)] = stack.enter_context(session)
                signatures.append(artifact.signature)
            else:
                opening = opened_source(subject, signature=contract, weights=weights)
                model = stack.enter_context(opening)
                timed[_label(subject)] = InProcess(plugins.runtime("pytorch").load(model, device))
                signatures.append(model.signature)
                given = given or model.examples
        chosen = [_complete(s, signatures[0]) for s in sizes] or typical_sizes(signatures[0])
        ordered = {_label(s): timed[_label(s)] for s in subjects}
        return measure(ordered, signatures[0], chosen, budget=budget, given=given)


def _label(subject: Any) -> str:
    if isinstance(subject, (str, Path)):
        return str(subject)
    return type(subject[0] if isinstance(subject, tuple) else subject).__name__


def _complete(sizes: Mapping[str, int], signature: Signature) -> dict[str, int]:
    """The sizes asked for, the others as they typically are."""
    usual = typical_sizes(signature)[-1]
    for name, size in sizes.items():
        if name not in usual:
            raise UsageError(f"there is no dimension '{name}'", "it has: " + ", ".join(usual))
        if size not in signature.dim(name).sizes:
            raise UsageError(f"{name} = {size} is outside of the signature", str(signature))
    return {**usual, **sizes}
