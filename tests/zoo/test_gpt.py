"""The decoder-only transformer with a KV cache."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import toolkit
from toolkit import zoo
from toolkit.zoo.gpt import GPT

TINY = {"vocabulary": 40, "width": 16, "layers": 2, "heads": 2, "positions": 16}
SOURCE = "zoo:gpt," + ",".join(f"{k}={v}" for k, v in TINY.items())


@pytest.fixture(scope="module")
def model() -> GPT:
    """With weights large enough that what came before matters."""
    module, _ = zoo.build("gpt", **TINY)
    assert isinstance(module, GPT)
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.eval()


def ids(batch: int, tokens: int) -> Tensor:
    return torch.randint(0, TINY["vocabulary"], (batch, tokens), generator=torch.manual_seed(1))


def empty(model: GPT, batch: int) -> list[Tensor]:
    return [torch.zeros(batch, 2, 0, 8)] * 4


def test_it_ships_and_holds_over_its_whole_signature(tmp_path: Path) -> None:
    bundle = toolkit.ship_sequence(SOURCE, tmp_path / "bundle", budget=5.0)
    report = bundle.parts["decoder"].exported.report
    covered = {name: (sizes[0], sizes[-1]) for name, sizes in report.covered.items()}
    assert report.holds
    assert covered == {"batch": (1, 16), "tokens": (1, 8), "past": (0, 15)}


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_text_in_two_steps_is_the_text_in_one(model: GPT, cut: int) -> None:
    text = ids(3, 7)
    whole = model(text)["logits"]
    first = model.decoder(text[:, :cut], torch.ones(3, cut).long(), text[:, :0], *empty(model, 3))
    state = [v for n, v in first.items() if n.startswith("present.")]
    rest = model.decoder(text[:, cut:], torch.ones(3, 7 - cut).long(), *state)
    found = torch.cat((first["logits"], rest["logits"]), dim=1)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_no_token_sees_those_after_it(model: GPT) -> None:
    text, other = ids(2, 6), ids(2, 6).clone()
    other[:, 4:] = (other[:, 4:] + 1) % TINY["vocabulary"]
    one, two = model(text)["logits"], model(other)["logits"]
    torch.testing.assert_close(one[:, :4], two[:, :4])
    assert not torch.allclose(one[:, 4:], two[:, 4:])


@torch.no_grad()
def test_padding_on_the_left_changes_nothing_of_a_text(model: GPT) -> None:
    text = ids(1, 4)
    padded = torch.cat((ids(1, 3), text), dim=1)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    found = model.decoder(padded, mask, mask[:, :0], *empty(model, 1))["logits"][:, 3:]
    torch.testing.assert_close(found, model(text)["logits"], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_row_of_padding_alone_is_finite(model: GPT) -> None:
    mask = torch.zeros(1, 5).long()
    found = model.decoder(ids(1, 5), mask, mask[:, :0], *empty(model, 1))
    assert found["logits"].isfinite().all()


def test_words_are_scored_by_their_own_embedding(model: GPT) -> None:
    assert sum(p.shape[:1] == (TINY["vocabulary"],) for p in model.parameters()) == 1


def test_it_has_the_parameters_of_gpt_2() -> None:
    with torch.device("meta"):
        module, _ = zoo.build(
            "gpt", vocabulary=50257, width=768, layers=12, heads=12, positions=1024
        )
    assert sum(p.numel() for p in module.parameters()) == 124_439_808
