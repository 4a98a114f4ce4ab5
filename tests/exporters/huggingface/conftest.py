"""Folders with a config.json each, for models without weights."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exporters.huggingface.tiny import CONFIGS

Folder = Callable[[str], Path]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder of a config by its name."""
    root = tmp_path_factory.mktemp("configs")

    def made(name: str) -> Path:
        if not (root / name).exists():
            CONFIGS[name]().save_pretrained(root / name)
        return root / name

    return made
