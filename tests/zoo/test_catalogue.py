"""What the zoo says of its architectures, without making them."""

from pathlib import Path

import pytest
import torch

from toolkit import zoo
from toolkit.errors import InputError

LARGE = ("alexnet", "bert", "resnet", "vit")
"""From 25 to 110 million parameters: not made here."""
ALL = pytest.mark.parametrize("name", zoo.names())


def test_every_file_but_the_private_ones_is_an_architecture() -> None:
    assert zoo.__file__ is not None
    files = {path.stem for path in Path(zoo.__file__).parent.glob("*.py")}
    assert zoo.names() == tuple(sorted(f for f in files if not f.startswith("_")))


def test_the_architectures_are_all_there() -> None:
    assert {"cnn", "encoder_decoder", "gpt", "lstm", "transformer", *LARGE} <= set(zoo.names())


@ALL
def test_a_title_is_one_line_that_says_what_it_is(name: str) -> None:
    title = zoo.describe(name).title
    assert title == title.strip()
    assert title.endswith(".")
    assert 20 < len(title) < 100


@ALL
def test_a_signature_has_a_batch(name: str) -> None:
    entry = zoo.describe(name)
    assert entry.signature.batch == "batch"


@pytest.mark.parametrize("name", [n for n in zoo.names() if n not in LARGE])
def test_what_is_described_is_what_is_built(name: str) -> None:
    module, signature = zoo.build(name)
    entry = zoo.describe(name)
    assert entry.parameters == sum(p.numel() for p in module.parameters())
    assert entry.signature == signature
    assert entry.parts == tuple(getattr(module, "parts", ()))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("alexnet", 62.4e6), ("bert", 110e6), ("resnet", 25.6e6), ("vit", 86e6)],
)
def test_the_large_ones_are_as_large_as_in_their_papers(name: str, parameters: float) -> None:
    assert zoo.describe(name).parameters == pytest.approx(parameters, rel=0.01)


@ALL
def test_a_description_draws_no_weights(name: str) -> None:
    before = torch.get_rng_state()
    zoo.describe(name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cnn", ()),
        ("gpt", ("decoder",)),
        ("transformer", ("encoder", "decoder")),
        ("encoder_decoder", ("encoder", "decoder")),
    ],
)
def test_the_graphs_of_an_architecture_are_named(name: str, parts: tuple[str, ...]) -> None:
    assert zoo.describe(name).parts == parts


def test_the_arguments_are_those_that_a_source_takes() -> None:
    assert zoo.describe("cnn").arguments == ("channels", "size", "classes", "filters")


@pytest.mark.parametrize("call", [zoo.describe, zoo.build])
@pytest.mark.parametrize("name", ["nosuch", "_attention", "", "cnn,size=8"])
def test_an_unknown_name_is_answered_with_those_there_are(call: object, name: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=f"the zoo has no '{name}'") as caught:
        call(name)
    assert caught.value.hint == "it has: " + ", ".join(zoo.names())
