"""The exporter inside transformers, as one more candidate."""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import NotApplicable
from toolkit.model import LoadedModel


class Transformers:
    name = "transformers"

    def export(self, model: LoadedModel, path: Path, *, opset: int) -> None:
        raise NotApplicable("it is for models of transformers")
