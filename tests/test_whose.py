"""Whose code a file is decides which line a refusal quotes."""

import contextlib
import os
from pathlib import Path

import pytest
import torch

import exporters
import toolkit
import toolkit.zoo
from toolkit.whose import is_models, package

INSTALLED = str(Path("lib", "python3", "site-packages"))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param(__file__, True, id="a file of the user's own"),
        pytest.param("<ipython-input-3-0a1b>", True, id="a cell"),
        pytest.param("<string>", False, id="generated code"),
        pytest.param(contextlib.__file__, False, id="Python"),
        pytest.param(torch.nn.__file__, False, id="torch"),
        pytest.param(f"{Path(torch.__file__).parent}vision/ops.py", True, id="torchvision"),
        pytest.param(f"{INSTALLED}/timm/layers/drop.py", True, id="a package"),
        pytest.param(f"{os.path.dirname(os.__file__)}/site-packages/timm/a.py", True, id="system"),
        pytest.param(toolkit.__file__, False, id="ours"),
        pytest.param(exporters.__file__, False, id="our exporters"),
        pytest.param(toolkit.zoo.__file__, True, id="the zoo"),
    ],
)
def test_is_models(file: str, *, expected: bool) -> None:
    assert is_models(file) is expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (f"{INSTALLED}/timm/layers/drop.py", "timm"),
        (f"{INSTALLED}/six.py", "six"),
        (f"{INSTALLED}/a/site-packages/b/c.py", "b"),
        ("model.py", ""),
        (INSTALLED, ""),
    ],
)
def test_package(file: str, expected: str) -> None:
    assert package(file) == expected
