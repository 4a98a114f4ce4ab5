"""The residual networks of the zoo."""

from pathlib import Path

import pytest
import torch

from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.errors import InputError
from toolkit.zoo.resnet import ResNet


def tiny(depth: int) -> ResNet:
    module, _ = zoo.build("resnet", depth=depth, channels=2, classes=5, width=4)
    assert isinstance(module, ResNet)
    return module.eval()


def images(height: int, width: int, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 2, height, width, generator=torch.Generator().manual_seed(0))


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    arguments = "depth=18,channels=1,classes=3,width=2,smallest=33,largest=36"
    shipped(f"zoo:resnet,{arguments}", tmp_path)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [
        (18, 11_689_512),
        (34, 21_797_672),
        (50, 25_557_032),
        (101, 44_549_160),
        (152, 60_192_808),
    ],
)
def test_it_has_as_many_parameters_as_published(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        module, _ = zoo.build("resnet", depth=depth)
    assert sum(p.numel() for p in module.parameters()) == parameters


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 100), (33, 65)])
def test_an_image_of_any_size_gets_probabilities(depth: int, height: int, width: int) -> None:
    found = tiny(depth)(images(height, width))["probabilities"]
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2))


def test_before_training_probabilities_depend_on_the_image_at_any_depth() -> None:
    logits = tiny(152).logits(images(64, 64))
    assert 0.001 < (logits[0] - logits[1]).abs().max() < logits.abs().max() < 100


@pytest.mark.parametrize("depth", [18, 50])
def test_a_block_whose_layers_give_nothing_passes_its_input_on(depth: int) -> None:
    block = tiny(depth).layer2[1]
    last = block.bn2 if depth == 18 else block.bn3
    assert isinstance(last, torch.nn.BatchNorm2d)
    torch.nn.init.zeros_(last.weight)
    x = torch.rand(2, 8 if depth == 18 else 32, 5, 7)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("depth", [18, 50])
def test_the_last_block_has_a_thirty_second_of_the_size(depth: int) -> None:
    sizes: list[torch.Size] = []
    module = tiny(depth)
    module.layer4.register_forward_hook(lambda _module, _inputs, found: sizes.append(found.shape))
    module(images(64, 96))
    assert sizes == [(2, 32 if depth == 18 else 128, 2, 3)]


def test_a_depth_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="no ResNet of 20 layers\none of 18, 34, 50, 101, 152"):
        zoo.build("resnet", depth=20)
