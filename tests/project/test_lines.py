"""Where a key or a definition stands."""

from pathlib import Path

import pytest

from toolkit.project.lines import definition, line_of

TOML = '''\
budget = "3s"
[models]
small = { source = "zoo:cnn" }  # a comment with a = sign
[models."two words"]
signature = """
x: float32[batch]
where batch = 1..4
"""
seed.value = 3
'''

PYTHON = """\
from torch import nn
from other import imported as renamed

@decorated
def build():
    inner = 3

class Net(nn.Module): ...
first, second = 1, 2
typed: int = 3
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("budget",), 1),
        (("models",), 2),
        (("models", "small"), 3),
        (("models", "small", "source"), 3),
        (("models", "two words"), 4),
        (("models", "two words", "signature"), 5),
        (("models", "two words", "seed", "value"), 9),
        (("nowhere",), 1),
    ],
)
def test_the_line_of_a_key_of_toml(keys: tuple[str, ...], line: int) -> None:
    assert line_of(TOML, keys) == line


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("model.py:build", 5),
        ("model.py:build,size=8", 5),
        ("model:Net", 8),
        ("model.py:second", 9),
        ("model.py:typed", 10),
        ("model.py:renamed", 2),
        ("model.py:elsewhere", 1),
    ],
)
def test_the_line_of_a_definition(tmp_path: Path, source: str, line: int) -> None:
    (tmp_path / "model.py").write_text(PYTHON)
    assert definition(source, tmp_path) == (tmp_path / "model.py", line)


@pytest.mark.parametrize("source", ["zoo:cnn", "hf:folder", "model.pt2", "missing.py:build"])
def test_what_is_not_defined_in_a_file_here_has_no_line(tmp_path: Path, source: str) -> None:
    (tmp_path / "zoo.py").write_text("cnn = 1\n")
    assert definition(source, tmp_path) is None
