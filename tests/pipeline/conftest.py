"""Files that several tests look at, made once a worker."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import toolkit
from samples.digits_cnn import digits, train
from tests import models
from toolkit.signature import Signature
from toolkit.zoo.cnn import build

INTACT = {
    make.__name__: make
    for make in (
        models.linear,
        models.encoder,
        models.recurrent,
        models.tokens,
        models.normalized,
        models.convolutional,
        models.unsigned,
        models.square,
    )
}


@pytest.fixture(scope="session")
def trained() -> tuple[nn.Module, Signature]:
    """The CNN of the sample, trained for a moment on the real digits."""
    torch.manual_seed(0)
    model, signature = build(size=8)
    (images, labels), _ = digits()
    train(model, images, labels, epochs=3)
    return model.eval(), signature


@pytest.fixture(scope="session")
def digits_file(
    trained: tuple[nn.Module, Signature], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """It exported, by the first exporter whose file holds."""
    path = tmp_path_factory.mktemp("digits") / "cnn.onnx"
    toolkit.export(trained, path, budget=1.0)
    return path


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """The training images: float32 [1437, 1, 8, 8]."""
    return digits()[0][0]


@pytest.fixture(scope="session", params=INTACT)
def intact(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, Path]:
    """Each of the hard models beside the file that `export` makes of it."""
    model = INTACT[request.param]()
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    toolkit.export(model, path, budget=1.0)
    return model[0], path
