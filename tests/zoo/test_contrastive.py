"""SimCLR of the zoo."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.zoo.contrastive import SimCLR, nt_xent


@pytest.fixture
def tiny() -> SimCLR:
    module, _ = zoo.build("contrastive", channels=2, size=8, filters=4, width=16, projection=6)
    assert isinstance(module, SimCLR)
    return module


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    shipped("zoo:contrastive,channels=1,size=4,filters=2,width=4,projection=3", tmp_path)


def test_projections_have_length_one(tiny: SimCLR) -> None:
    found = tiny.eval()(drawn(5, 2, 8, 8), drawn(5, 2, 8, 8, seed=1))
    lengths = torch.stack([found["projection_a"], found["projection_b"]]).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(2, 5))


def test_both_views_go_through_the_same_network(tiny: SimCLR) -> None:
    view = drawn(5, 2, 8, 8)
    found = tiny.eval()(view, view)
    assert torch.equal(found["projection_a"], found["projection_b"])


def test_the_encoder_alone_makes_features(tiny: SimCLR) -> None:
    assert tiny.encoder(drawn(5, 2, 8, 8)).shape == (5, 16)


def test_the_loss_is_the_cross_entropy_of_each_view_against_all_others() -> None:
    a, b = (torch.nn.functional.normalize(drawn(4, 6, seed=n) - 0.5, dim=-1) for n in (0, 1))
    z = torch.cat([a, b]).double().numpy()
    powers = np.exp(z @ z.T / 0.3)
    others = powers.sum(-1) - powers.diagonal()
    partners = powers[np.arange(8), (np.arange(8) + 4) % 8]
    expected = -np.log(partners / others).mean()
    assert nt_xent(a, b, 0.3).item() == pytest.approx(expected, rel=1e-5)


def test_training_brings_views_of_one_image_together(tiny: SimCLR) -> None:
    a, b = drawn(8, 2, 8, 8), drawn(8, 2, 8, 8, seed=1)

    def loss() -> torch.Tensor:
        found = tiny(a, b)
        return nt_xent(found["projection_a"], found["projection_b"])

    optimizer = torch.optim.Adam(tiny.parameters(), lr=1e-2)
    before = loss().item()
    for _ in range(20):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.8 * before
