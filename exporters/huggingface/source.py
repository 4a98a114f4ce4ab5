"""`hf:FOLDER`: a model of transformers from a local folder, or from its config.json alone.

Nothing is downloaded and no code of the folder is run (`trust_remote_code` stays off).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exporters.huggingface import grids, inputs, multimodal, sequences, tasks
from exporters.huggingface.graph import Graph
from exporters.huggingface.readings import DEFAULT, Ranges
from toolkit.errors import InputError, MissingError
from toolkit.model import first_line
from toolkit.plugins import Built
from toolkit.sequence import ENCODER
from toolkit.signature import Signature

_WEIGHTS = ("*.safetensors", "*.bin")


class HuggingFace:
    """The source `hf`."""

    name = "hf"

    def build(
        self,
        place: str,
        *,
        task: str = "",
        attention: str = "eager",
        seed: int = 0,
        batch: int = Ranges.batch,
        tokens: int = Ranges.tokens,
        image: int = Ranges.image,
        samples: int = Ranges.samples,
        media: int = Ranges.media,
    ) -> Built:
        """`task` chooses the head (`tasks.TASKS`), `attention` the implementation of attention;
        `batch`, `tokens`, `image` and `samples` are the largest sizes that are promised, where the
        config does not set them, and `media` the pictures or sounds in one text. `seed`: for
        weights that are not in the folder."""
        config, folder = _config(Path(place))
        kind = tasks.head(config, task)
        with _quiet():
            torch.manual_seed(seed)
            model, notes = _model(kind, config, folder, attention)
        ranges = Ranges(batch, tokens, image, samples, media)
        return wrapped(model, ranges, notes)


def wrapped(model: nn.Module, ranges: Ranges = DEFAULT, notes: tuple[str, ...] = ()) -> Built:
    """A model of transformers as a module of this project: one graph, or parts that write."""
    model.eval()
    graph, signature = one_graph(model, ranges)
    names = [s.name for s in signature.inputs]
    if found := sequences.sequence(model, signature, ranges):
        left = multimodal.remarks(model, names, ENCODER in found.parts)
        return Built(found, signature, (*notes, *sequences.remarks(model), *left))
    return Built(graph, signature, (*notes, *multimodal.remarks(model, names)))


def one_graph(model: nn.Module, ranges: Ranges = DEFAULT) -> tuple[nn.Module, Signature]:
    """A model of transformers as a module of tensors, and what these are."""
    if tower := grids.alone(model, ranges.image, ranges.batch):
        return tower
    signature = inputs.signature(model, ranges)
    return Graph(model, [s.name for s in signature.inputs]), signature


def _config(place: Path) -> tuple[Any, Path | None]:
    """The config, and the folder of the weights where there are some."""
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingError(
            f"'hf:' needs the package '{error.name}'", "pip install 'onnxport[huggingface]'"
        ) from error
    file = place if place.suffix == ".json" else place / "config.json"
    if not file.is_file():
        raise InputError(f"there is no '{file}'", "name a folder that holds a config.json, or one")
    try:
        config = AutoConfig.from_pretrained(file, local_files_only=True)
    except Exception as error:
        raise InputError(
            f"'{file}' is not a config that transformers reads: {first_line(error)}"
        ) from error
    weights = file is not place and any(any(place.glob(p)) for p in _WEIGHTS)
    return config, place if weights else None


def _model(
    kind: Any, config: Any, folder: Path | None, attention: str
) -> tuple[nn.Module, tuple[str, ...]]:
    """The model in float32: what differs between runtimes in half precision is not the export's."""
    settings = {"attn_implementation": attention, "dtype": torch.float32}
    try:
        if folder is None:
            model = kind._from_config(config, **settings)
            return model, ("the weights are random: there are none beside the config",)
        model, found = kind.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True, **settings
        )
    except Exception as error:
        raise InputError(
            f"{kind.__name__} cannot be built: {first_line(error)}",
            "does transformers load it, with its weights in this folder?",
        ) from error
    missing = sorted(found["missing_keys"])
    if not missing:
        return model, ()
    return model, (f"{len(missing)} weights are random, the folder lacks them: {missing[0]}",)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's remarks on each loaded tensor; errors are still said."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
