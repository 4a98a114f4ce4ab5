"""The vision transformer of the zoo."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.errors import InputError
from toolkit.zoo.vit import VisionTransformer


@pytest.fixture(scope="module")
def tiny() -> VisionTransformer:
    module, _ = zoo.build(
        "vit", channels=2, size=6, patch=2, classes=5, width=8, layers=2, heads=2, hidden=16
    )
    assert isinstance(module, VisionTransformer)
    return module.eval()


def images(batch: int = 3) -> torch.Tensor:
    return torch.rand(batch, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    arguments = "channels=1,size=4,patch=2,classes=3,width=8,layers=1,heads=2,hidden=8"
    shipped(f"zoo:vit,{arguments}", tmp_path)


def test_vit_b_16_has_86_567_656_parameters() -> None:
    with torch.device("meta"):
        module, _ = zoo.build("vit")
    assert sum(p.numel() for p in module.parameters()) == 86_567_656


def test_every_image_gets_probabilities_that_sum_to_one(tiny: VisionTransformer) -> None:
    found = tiny(images())["probabilities"]
    assert found.shape == (3, 5)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(3))


def test_the_convolution_is_one_matrix_for_each_patch(tiny: VisionTransformer) -> None:
    last = images()[:, :, 4:6, 4:6].flatten(1)
    expected = functional.linear(last, tiny.patches.weight.flatten(1), tiny.patches.bias)
    torch.testing.assert_close(tiny.patches(images())[:, :, 2, 2], expected)


def test_the_order_of_the_patches_matters(tiny: VisionTransformer) -> None:
    swapped = images().roll(2, dims=-1)
    assert not torch.allclose(tiny.logits(swapped), tiny.logits(images()))


def test_a_layer_adds_to_its_input_what_it_makes_of_the_normalized(tiny: VisionTransformer) -> None:
    layer = tiny.layers[0]
    assert isinstance(layer, torch.nn.TransformerEncoderLayer)
    x = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    normalized = functional.layer_norm(x, (8,), layer.norm1.weight, layer.norm1.bias, 1e-6)
    middle = x + layer.self_attn(normalized, normalized, normalized)[0]
    expected = middle + layer.linear2(functional.gelu(layer.linear1(layer.norm2(middle))))
    torch.testing.assert_close(layer(x), expected)


def test_a_size_that_is_no_multiple_of_the_patch_is_refused() -> None:
    with pytest.raises(InputError, match="images of 30 pixels cannot be cut into patches of 16"):
        zoo.build("vit", size=30)
