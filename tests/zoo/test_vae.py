"""The variational autoencoder of the zoo."""

from pathlib import Path

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.zoo.vae import VAE


@pytest.fixture
def tiny() -> VAE:
    module, _ = zoo.build("vae", size=4, hidden=12, latent=3)
    assert isinstance(module, VAE)
    return module


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(6, 1, 4, 4, generator=rng), torch.randn(6, 3, generator=rng)


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    shipped("zoo:vae,size=3,hidden=5,latent=2", tmp_path)


def test_it_has_the_layers_of_the_paper() -> None:
    module, _ = zoo.build("vae")
    layers = [(500, 784), (20, 500), (20, 500), (500, 20), (784, 500)]
    assert sum(p.numel() for p in module.parameters()) == sum(o * (i + 1) for o, i in layers)


def test_without_noise_the_reconstruction_is_that_of_the_mean(tiny: VAE) -> None:
    pixels, noise = drawn()
    found = tiny(pixels, torch.zeros_like(noise))
    assert found["reconstruction"].shape == pixels.shape
    assert torch.equal(found["reconstruction"], tiny.decode(found["mean"]))


def test_noise_moves_the_code_by_deviations(tiny: VAE) -> None:
    pixels, noise = drawn()
    found = tiny(pixels, noise)
    code = found["mean"] + found["log_variance"].exp().sqrt() * noise
    torch.testing.assert_close(found["reconstruction"], tiny.decode(code))


def test_the_loss_is_the_bound_of_the_paper(tiny: VAE) -> None:
    pixels, noise = drawn()
    pixels = pixels.round()
    found = tiny(pixels, noise)
    likelihood = Bernoulli(found["reconstruction"]).log_prob(pixels).sum()
    code = Normal(found["mean"], found["log_variance"].exp().sqrt())
    divergence = kl_divergence(code, Normal(torch.zeros(3), torch.ones(3))).sum()
    torch.testing.assert_close(tiny.loss(pixels, noise), (divergence - likelihood) / 6)


def test_training_makes_the_loss_smaller(tiny: VAE) -> None:
    pixels, noise = drawn()
    optimizer = torch.optim.Adam(tiny.parameters(), lr=1e-2)
    before = tiny.loss(pixels, noise).item()
    for _ in range(20):
        optimizer.zero_grad()
        tiny.loss(pixels, noise).backward()
        optimizer.step()
    assert tiny.loss(pixels, noise).item() < before
