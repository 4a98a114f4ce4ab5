"""Models of several graphs: which they are, and what is said where there is no such one."""

from functools import cache
from typing import Any

import pytest

from tests import models
from toolkit import sequence, source
from toolkit.errors import InputError
from toolkit.model import LoadedModel
from toolkit.sequence import Generation

GPT = "zoo:gpt,layers=1,width=32,heads=4,vocabulary=50,positions=32"
TRANSFORMER = "zoo:transformer,layers=1,width=32,heads=4,hidden=48,vocabulary=50,positions=16"
RECURRENT = "zoo:encoder_decoder,sources=50,targets=25,embedding=16,hidden=24,longest=12"
PARTS: dict[str, list[str]] = {
    GPT: ["decoder"],
    TRANSFORMER: ["encoder", "decoder"],
    RECURRENT: ["encoder", "decoder"],
    f"{RECURRENT},attention=False": ["encoder", "decoder"],
}
ALL = pytest.mark.parametrize("name", PARTS)


@cache
def loaded(name: str) -> LoadedModel:
    return source.load(name)


@ALL
def test_a_model_that_writes_sequences_says_so(name: str) -> None:
    assert sequence.is_sequence(loaded(name).module)


def test_a_model_of_one_graph_does_not() -> None:
    assert not sequence.is_sequence(models.linear()[0])


@ALL
def test_every_graph_is_found_in_the_order_of_the_module(name: str) -> None:
    assert list(sequence.parts(loaded(name))) == PARTS[name]


@ALL
def test_a_part_is_the_submodule_of_its_name(name: str) -> None:
    model = loaded(name)
    assert sequence.part(model, "decoder").module is model.module.get_submodule("decoder")


@ALL
def test_a_part_is_named_after_the_whole(name: str) -> None:
    assert sequence.part(loaded(name), "decoder").origin == f"{name},part=decoder"


def test_a_part_keeps_the_notes_and_the_digest_of_the_whole() -> None:
    whole = loaded(GPT)
    noted = LoadedModel(whole.module, whole.signature, "m.py:gpt", ("a note",), "0" * 64)
    part = sequence.part(noted, "decoder")
    assert (part.notes, part.digest) == (("a note",), "0" * 64)


@ALL
def test_a_decoder_is_named_as_the_loop_expects_it(name: str) -> None:
    """`ids` first among what it takes; every state comes back, and as the same kind of tensor."""
    signature = sequence.part(loaded(name), "decoder").signature
    outputs = {s.name: s for s in signature.outputs}
    states = [s for s in signature.inputs if s.name.startswith("past.")]
    assert signature.inputs[0].name == "ids"
    assert outputs["logits"].shape[:2] == signature.inputs[0].shape
    assert [s.name.replace("past", "present", 1) for s in states] == [
        n for n in outputs if n != "logits"
    ]
    assert [s.dtype for s in states] == [s.dtype for n, s in outputs.items() if n != "logits"]


@pytest.mark.parametrize("name", [n for n, parts in PARTS.items() if "encoder" in parts])
def test_a_decoder_takes_what_its_encoder_takes_or_gives(name: str) -> None:
    encoder, decoder = (p.signature for p in sequence.parts(loaded(name)).values())
    given = {s.name: s.dtype for s in (*encoder.inputs, *encoder.outputs)}
    wanted = {s.name: s.dtype for s in decoder.inputs if not s.name.startswith(("past.", "ids"))}
    assert wanted.items() <= given.items()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (GPT, Generation(start=0, end=0, most=16)),
        (f"{GPT},end=7", Generation(start=7, end=7, most=16)),
        (TRANSFORMER, Generation(start=1, end=2, most=8)),
        (f"{RECURRENT},start=3,end=4", Generation(start=3, end=4, most=12)),
    ],
)
def test_a_module_knows_its_start_and_its_end(name: str, expected: Generation) -> None:
    assert sequence.generation(loaded(name)) == expected


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        (GPT, f"'{GPT}' has no part 'tail'", "it has: decoder"),
        (TRANSFORMER, f"'{TRANSFORMER}' has no part 'tail'", "it has: encoder, decoder"),
        (models.linear(), "'Linear' has no part 'tail'", "it is one graph: leave part= out"),
    ],
    ids=["one part", "two parts", "one graph"],
)
def test_refuses_a_part_that_there_is_not(model: Any, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        sequence.part(source.load(model), "tail")
    assert (caught.value.message, caught.value.hint) == (message, hint)
