"""The autoencoders of the zoo."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

import toolkit
from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.errors import InputError
from toolkit.zoo.autoencoder import Autoencoder

KINDS = [
    pytest.param({"size": 8, "hidden": 12, "code": 3}, id="dense"),
    pytest.param({"size": 8, "filters": 2, "code": 3, "convolutional": True}, id="convolutional"),
]


def built(**arguments: int) -> Autoencoder:
    module, _ = zoo.build("autoencoder", **arguments)
    assert isinstance(module, Autoencoder)
    return module


def images(batch: int = 5) -> torch.Tensor:
    return torch.rand(batch, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    shipped("zoo:autoencoder,size=4,filters=2,code=3,convolutional=True", tmp_path)


def test_the_dense_one_holds_as_well(tmp_path: Path) -> None:
    source = "zoo:autoencoder,size=4,hidden=8,code=3"
    assert toolkit.export(source, tmp_path / "model.onnx", budget=1).report.holds


def test_it_has_the_parameters_of_784_128_64_128_784() -> None:
    sizes = [784, 128, 64, 128, 784]
    expected = sum(b * (a + 1) for a, b in pairwise(sizes))
    assert sum(p.numel() for p in built().parameters()) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_reconstruction_is_an_image_of_the_same_kind(kind: dict[str, int]) -> None:
    reconstruction = built(**kind)(images())["reconstruction"]
    assert reconstruction.shape == (5, 1, 8, 8)
    assert 0 < reconstruction.min() < reconstruction.max() < 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_alone_makes_the_code(kind: dict[str, int]) -> None:
    module = built(**kind)
    code = module(images())["code"]
    assert code.shape == (5, 3)
    assert torch.equal(module.encoder(images()), code)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_code_reaches_the_reconstruction(kind: dict[str, int]) -> None:
    found = built(**kind)
    torch.testing.assert_close(
        found.decoder(found(images())["code"]), found(images())["reconstruction"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_training_makes_the_loss_smaller(kind: dict[str, int]) -> None:
    module, pixels = built(**kind), images()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    before = module.loss(pixels).item()
    for _ in range(30):
        optimizer.zero_grad()
        module.loss(pixels).backward()
        optimizer.step()
    assert module.loss(pixels).item() < before


def test_the_convolutional_one_refuses_a_size_that_it_cannot_halve_twice() -> None:
    with pytest.raises(InputError, match="images of 10 pixels"):
        zoo.build("autoencoder", size=10, convolutional=True)
