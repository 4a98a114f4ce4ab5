"""AlexNet of the zoo."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.errors import InputError
from toolkit.zoo.alexnet import AlexNet


@pytest.fixture(scope="module")
def tiny() -> AlexNet:
    module, _ = zoo.build("alexnet", channels=2, size=63, classes=5, width=0.05)
    assert isinstance(module, AlexNet)
    return module.eval()


def images() -> torch.Tensor:
    return torch.rand(2, 2, 63, 63, generator=torch.Generator().manual_seed(0))


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    shipped("zoo:alexnet,channels=1,size=63,classes=3,width=0.02", tmp_path)


def test_it_has_the_layers_of_the_paper_each_of_them_whole() -> None:
    with torch.device("meta"):
        module, _ = zoo.build("alexnet")
    convolutions = [(96, 3, 11), (256, 96, 5), (384, 256, 3), (384, 384, 3), (256, 384, 3)]
    dense = [(4096, 256 * 6 * 6), (4096, 4096), (1000, 4096)]
    expected = sum(o * (i * k * k + 1) for o, i, k in convolutions)
    expected += sum(o * (i + 1) for o, i in dense)
    assert sum(p.numel() for p in module.parameters()) == expected == 62_378_344


def test_every_image_gets_probabilities_that_sum_to_one(tiny: AlexNet) -> None:
    found = tiny(images())["probabilities"]
    assert found.shape == (2, 5)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2))


def test_a_channel_is_normalized_by_its_five_neighbours(tiny: AlexNet) -> None:
    normalize = tiny.features[2]
    assert isinstance(normalize, nn.LocalResponseNorm)
    a = 100 * torch.rand(1, 8, 2, 2, generator=torch.Generator().manual_seed(0))
    neighbours = a[:, 1:6].square().sum(dim=1)  # of channel 3: 1 to 5
    torch.testing.assert_close(normalize(a)[:, 3], a[:, 3] / (2 + 1e-4 * neighbours) ** 0.75)


def test_dropout_is_for_training_only(tiny: AlexNet) -> None:
    assert torch.equal(tiny.logits(images()), tiny.logits(images()))
    tiny.train()
    assert not torch.equal(tiny.logits(images()), tiny.logits(images()))
    tiny.eval()


def test_an_image_of_which_nothing_would_be_left_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is left of images of 62 pixels"):
        zoo.build("alexnet", size=62)
