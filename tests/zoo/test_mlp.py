"""The fully connected network of the zoo."""

from pathlib import Path

import numpy as np
import pytest
import torch

import toolkit
from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.errors import InputError
from toolkit.zoo.mlp import MLP


def built(activation: str = "sigmoid") -> MLP:
    module, _ = zoo.build("mlp", layers="6-5-3", activation=activation)
    assert isinstance(module, MLP)
    return module


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(4, 6, generator=rng), torch.tensor([0, 2, 1, 2])


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    shipped("zoo:mlp,layers=4-3-2", tmp_path)


def test_the_relu_variant_holds_as_well(tmp_path: Path) -> None:
    source = "zoo:mlp,layers=4-3-2,activation=relu"
    assert toolkit.export(source, tmp_path / "model.onnx", budget=1).report.holds


def test_the_classical_one_has_784_30_10_neurons() -> None:
    module, _ = zoo.build("mlp")
    assert sum(p.numel() for p in module.parameters()) == 30 * 785 + 10 * 31


def test_back_propagation_by_the_formulas_gives_the_gradients() -> None:
    module, (x, labels) = built(), examples()
    found = torch.autograd.grad(module.loss(x, labels), list(module.parameters()))
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in module.parameters())

    a0 = x.double().numpy()
    a1 = 1 / (1 + np.exp(-(a0 @ w1.T + b1)))
    a2 = 1 / (1 + np.exp(-(a1 @ w2.T + b2)))
    d2 = (a2 - np.eye(3)[labels]) * a2 * (1 - a2) / len(x)
    d1 = d2 @ w2 * a1 * (1 - a1)
    expected = [d1.T @ a0, d1.sum(0), d2.T @ a1, d2.sum(0)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("activation", "rate"), [("sigmoid", 1.0), ("relu", 0.1)])
def test_plain_gradient_descent_makes_the_loss_smaller(activation: str, rate: float) -> None:
    module, (x, labels) = built(activation), examples()
    descent = torch.optim.SGD(module.parameters(), lr=rate)
    losses = []
    for _ in range(10):
        loss = module.loss(x, labels)
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    assert losses == sorted(losses, reverse=True)


def test_the_relu_variant_gives_probabilities() -> None:
    scores = built("relu")(examples()[0])["scores"]
    torch.testing.assert_close(scores.sum(dim=-1), torch.ones(4))


def test_the_relu_variant_is_trained_on_the_likelihood_of_the_labels() -> None:
    module, (x, labels) = built("relu"), examples()
    likelihood = module(x)["scores"][torch.arange(4), labels]
    torch.testing.assert_close(module.loss(x, labels), -likelihood.log().mean())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "784"}, "'784' are no widths of layers"),
        ({"layers": "784-x-10"}, "'784-x-10' are no widths of layers"),
        ({"layers": "784-0-10"}, "'784-0-10' are no widths of layers"),
        ({"activation": "tanh"}, "there is no activation 'tanh' here"),
    ],
)
def test_what_it_cannot_be_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        zoo.build("mlp", **arguments)
