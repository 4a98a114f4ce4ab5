"""The encoder-decoder transformer with sinusoidal positions and a KV cache."""

import numpy as np
import pytest
import torch
from torch import Tensor

import toolkit
from toolkit import zoo
from toolkit.pipeline.sequence import SequenceBundle
from toolkit.zoo.transformer import Embedding, Transformer

TINY = {"vocabulary": 40, "width": 16, "layers": 2, "heads": 2, "hidden": 24, "positions": 16}
SOURCE = "zoo:transformer," + ",".join(f"{k}={v}" for k, v in TINY.items())


@pytest.fixture(scope="module")
def model() -> Transformer:
    module, _ = zoo.build("transformer", **TINY)
    assert isinstance(module, Transformer)
    return module.eval()


def ids(batch: int, tokens: int, seed: int = 1) -> Tensor:
    return torch.randint(0, TINY["vocabulary"], (batch, tokens), generator=torch.manual_seed(seed))


LENGTHS = torch.tensor([5, 2, 3])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> SequenceBundle:
    out = tmp_path_factory.mktemp("transformer") / "bundle"
    return toolkit.ship_sequence(SOURCE, out, budget=5.0)


def test_it_ships_and_holds_over_its_whole_signature(bundle: SequenceBundle) -> None:
    covered = {
        part: {n: (s[0], s[-1]) for n, s in b.exported.report.covered.items()}
        for part, b in bundle.parts.items()
    }
    assert all(b.exported.report.holds for b in bundle.parts.values())
    assert covered["encoder"] == {"batch": (1, 16), "length": (1, 16)}
    assert covered["decoder"] == covered["encoder"] | {"tokens": (1, 8), "past": (0, 15)}


def test_of_many_outputs_the_remark_names_the_one_that_int8_harms_most(
    bundle: SequenceBundle,
) -> None:
    tried = next(q for q in bundle.parts["decoder"].quantized if q.within_budget)
    assert tried.report is not None
    worst = min(tried.report.fidelity, key=lambda f: f.sqnr)
    assert tried.remark.startswith(f"{worst}, the worst of 5 outputs, ")


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 4])
def test_a_target_in_two_steps_is_the_target_in_one(model: Transformer, cut: int) -> None:
    source, target = ids(3, 5), ids(3, 6, seed=2)
    whole = model(source, LENGTHS, target)["logits"]
    cross = model.encoder(source, LENGTHS).values()
    empty = [torch.zeros(3, 2, 0, 8)] * 4
    first = model.decoder(target[:, :cut], LENGTHS, *cross, *empty)
    state = [v for n, v in first.items() if n.startswith("present.")]
    rest = model.decoder(target[:, cut:], LENGTHS, *cross, *state)
    found = torch.cat((first["logits"], rest["logits"]), dim=1)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_what_pads_a_source_changes_nothing(model: Transformer) -> None:
    source, target = ids(3, 5), ids(3, 4, seed=2)
    other = source.clone()
    other[1, 2:], other[2, 3:] = 0, 7
    one, two = (model(s, LENGTHS, target)["logits"] for s in (source, other))
    torch.testing.assert_close(one, two)


@torch.no_grad()
def test_a_source_alone_is_the_source_in_a_padded_batch(model: Transformer) -> None:
    source, target = ids(3, 5), ids(3, 4, seed=2)
    together = model(source, LENGTHS, target)["logits"][1:2]
    alone = model(source[1:2, :2], LENGTHS[1:2], target[1:2])["logits"]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_no_token_sees_those_after_it(model: Transformer) -> None:
    source, target = ids(3, 5), ids(3, 6, seed=2)
    other = target.clone()
    other[:, 3:] = (other[:, 3:] + 1) % TINY["vocabulary"]
    one, two = (model(source, LENGTHS, t)["logits"] for t in (target, other))
    torch.testing.assert_close(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3:], two[:, 3:])


def test_positions_are_sines_and_cosines_of_falling_frequency() -> None:
    table = Embedding(vocabulary=3, width=6, positions=9).table.numpy()[:9]
    t, i = np.meshgrid(np.arange(9), np.arange(3), indexing="ij")
    angle = t / 10000 ** (2 * i / 6)
    np.testing.assert_allclose(table[:, 0::2], np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(table[:, 1::2], np.cos(angle), atol=1e-6)


def test_it_has_the_parameters_of_the_paper() -> None:
    """The base model of table 3, 65 million; one table of words for source, target and scores."""
    with torch.device("meta"):
        module, _ = zoo.build(
            "transformer", vocabulary=37000, width=512, layers=6, heads=8, hidden=2048
        )
    assert 60e6 < sum(p.numel() for p in module.parameters()) < 66e6
