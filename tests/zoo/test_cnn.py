"""The convolutional classifier of the zoo."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from toolkit import examples, zoo
from toolkit.errors import InputError
from toolkit.signature import Signature

Small = tuple[nn.Module, Signature]


@pytest.fixture(scope="module")
def small() -> Small:
    module, signature = zoo.build("cnn", channels=3, size=8, classes=5, filters=2)
    return module.eval(), signature


def probabilities(module: nn.Module, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        result: np.ndarray = module(torch.from_numpy(pixels))["probabilities"].numpy()
    return result


def drawn(signature: Signature, batch: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return examples.feeds(signature, {"batch": batch}, "uniform", rng)["pixels"]


def test_it_is_in_the_zoo() -> None:
    assert "cnn" in zoo.names()


def test_weights_are_the_same_every_time() -> None:
    one, other = (zoo.build("cnn", size=8)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_building_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    zoo.build("cnn", size=8)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_arguments_shape_the_signature(small: Small) -> None:
    assert small[1] == Signature.parse(
        """
        pixels: float32[batch, 3, 8, 8] in 0..1
        where batch = 1..64
        -> probabilities: float32[batch, 5]
        """
    )


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_every_image_gets_probabilities_that_sum_to_one(small: Small, batch: int) -> None:
    module, signature = small
    found = probabilities(module, drawn(signature, batch))
    assert found.shape == (batch, 5)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_probabilities_are_the_softmax_of_the_logits(small: Small) -> None:
    module, signature = small
    pixels = drawn(signature, 3)
    scored: Any = module.logits
    with torch.no_grad():
        logits = scored(torch.from_numpy(pixels)).double().numpy()
    powers = np.exp(logits)
    expected = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities(module, pixels), expected, atol=1e-6)


def test_an_unknown_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"the zoo has no 'cnm'\nit has: .*cnn"):
        zoo.build("cnm")


def test_an_unknown_argument_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no argument 'depth'\nit has: channels, size, classes, f"):
        zoo.build("cnn", depth=3)
