"""Which stage brought an error in: the exporter, or what was done to its file since."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import forked, plugins
from toolkit.artifact import open_artifact
from toolkit.inference.isolated import IsolatedSession
from toolkit.parity.sketch import Sketch
from toolkit.pipeline.insides import Inside

if TYPE_CHECKING:
    from toolkit.model import LoadedModel


def of_stages(model: LoadedModel, inside: Inside, *, seconds: float) -> str:
    """A sentence on the stage, by exporting again; "" where the file names no exporter of ours.

    The new file is as the exporter writes it, before any other stage, and runs the same case.
    Raises ExportRefused or StageCrashed where it is not written within `seconds`.
    """
    made = inside.artifact.provenance
    if made.exporter not in plugins.names(plugins.EXPORTERS):
        return ""
    exporter = plugins.exporter(made.exporter)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw.onnx")

        def export() -> None:
            exporter.export(model, raw, opset=made.opset)

        log = Path(folder, "log")
        forked.call(f"the exporter '{made.exporter}'", export, log=log, timeout=seconds)
        again = Inside(
            open_artifact(raw, model.signature), inside.reference, inside.feeds, inside.tolerance
        )
        with IsolatedSession(again.artifact) as session:
            outputs = session.run(again.fed)
        wrong = again.wrong({name: Sketch.of(array) for name, array in outputs.items()})
    if wrong:
        return f"the exporter '{made.exporter}': what it writes is wrong before any other stage"
    later = ", ".join(made.stages[1:])
    since = f"one of the stages after it ({later}), or a change" if later else "a change"
    return f"{since} since: exported again by '{made.exporter}' the case holds"
