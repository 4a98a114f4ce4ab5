"""Tokens one after another: with a cache as without one, on every runtime, in any company."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import toolkit
from toolkit import plugins, sequence, source, zoo
from toolkit.artifact import open_artifact
from toolkit.errors import InputError
from toolkit.inference.generation import Generator
from toolkit.inference.search import beam_search
from toolkit.model import LoadedModel
from toolkit.signature import Signature

GPT = {"layers": 2, "width": 32, "heads": 4, "vocabulary": 50, "positions": 32}
TRANSFORMER = {"layers": 1, "width": 32, "heads": 4, "vocabulary": 50, "positions": 16}
RECURRENT = {"sources": 50, "targets": 25, "embedding": 16, "hidden": 24, "longest": 12}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt": ("gpt", GPT),
    "transformer": ("transformer", {**TRANSFORMER, "hidden": 48}),
    "encoder_decoder": ("encoder_decoder", RECURRENT),
    "without attention": ("encoder_decoder", {**RECURRENT, "attention": False}),
}
"""Name in the zoo, and arguments."""
ROWS, MOST = 208, 8


@dataclass(frozen=True)
class Subject:
    """A model whose texts vary, each of its graphs in a file, and rows for it to go on from."""

    model: LoadedModel
    files: Mapping[str, Path]
    source: Mapping[str, np.ndarray] | None
    """The inputs of the encoder; none for a decoder alone."""
    prompts: Sequence[Sequence[int]]
    """For a decoder alone of 1 to 9 words, else the start."""

    def loaded(self, runtime: str) -> Generator:
        sessions = {
            name: plugins.runtime(runtime).load(open_artifact(file), "cpu")
            for name, file in self.files.items()
        }
        return Generator(
            sessions["decoder"], sequence.generation(self.model), sessions.get("encoder")
        )

    def written(self, generator: Generator, rows: range, **options: Any) -> list[list[int]]:
        """What follows those rows, all in one call."""
        given = self.source and {name: array[rows] for name, array in self.source.items()}
        prompts = [self.prompts[row] for row in rows]
        return generator.generate(given, prompts, most=MOST, **options)

    def without_padding(self, row: int) -> dict[str, np.ndarray] | None:
        """The encoder's inputs for a row, as long as it is."""
        if self.source is None:
            return None
        lengths = self.source["lengths"][row : row + 1]
        return {"source": self.source["source"][row : row + 1, : lengths[0]], "lengths": lengths}

    def alone(self, generator: Generator, row: int, **options: Any) -> list[int]:
        """What follows one row, without padding."""
        prompts = self.prompts[row : row + 1]
        (text,) = generator.generate(self.without_padding(row), prompts, most=MOST, **options)
        return text

    def scores(self, row: int, texts: Sequence[Sequence[int]]) -> np.ndarray:
        """Of what follows each text, by the whole module and all of the text: without a cache."""
        given = [
            torch.from_numpy(array).expand(len(texts), *array.shape[1:])
            for array in (self.without_padding(row) or {}).values()
        ]
        with torch.no_grad():
            logits = self.model.module(*given, torch.tensor(texts))["logits"]
        found: np.ndarray = logits[:, -1].numpy()
        return found

    def greedy(self, row: int, prompt: Sequence[int], most: int = MOST) -> list[int]:
        """The most probable word each time, without a cache."""
        text: list[int] = []
        while len(text) < most:
            word = int(self.scores(row, [[*prompt, *text]]).argmax())
            if word == sequence.generation(self.model).end:
                break
            text.append(word)
        return text

    def beams(self, row: int, count: int) -> list[int]:
        """The best text of a beam search without a cache."""
        texts = [list(self.prompts[row])] * count

        def step(tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
            texts[:] = [[*texts[p], int(t)] for p, t in zip(parents, tokens, strict=True)]
            return self.scores(row, texts)

        logits, end = self.scores(row, texts), sequence.generation(self.model).end
        (found,) = beam_search(step, logits, beams=count, end=end, most=MOST, length_penalty=1.0)
        return found


def unsettled(module: nn.Module) -> nn.Module:
    """Larger random weights: an untrained model would write the same word again and again."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=2.5 / parameter.shape[-1] ** 0.5)
    return module.eval()


@pytest.fixture(scope="module", params=MODELS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    name, arguments = MODELS[request.param]
    module, signature = zoo.build(name, **arguments)
    model = source.load((unsettled(module), signature))
    folder, files = tmp_path_factory.mktemp("generation"), {}
    for part, graph in sequence.parts(model).items():
        files[part] = folder / f"{part}.onnx"
        quickest_first = ("torchscript", "onnxport")
        toolkit.export(graph, files[part], exporters=quickest_first, budget=0.3)
    rng = np.random.default_rng(2)
    words, lengths = rng.integers(0, 50, (ROWS, 10)), rng.integers(1, 10, ROWS)
    if "encoder" in files:
        start = [sequence.generation(model).start]
        found = Subject(model, files, {"source": words, "lengths": lengths}, [start] * ROWS)
    else:
        prompts = [row[:length].tolist() for row, length in zip(words, lengths, strict=True)]
        found = Subject(model, files, None, prompts)
    set_end(module, found)
    return found


def set_end(module: Any, subject: Subject) -> None:
    """The word most often written after another one is the end from now on: texts end early and
    late."""
    module.generation = replace(module.generation, end=-1)
    texts = subject.written(toolkit.generator(subject.model), range(ROWS))
    ((word, _),) = Counter(
        word for text in texts for word in text[1:] if word != text[0]
    ).most_common(1)
    module.generation = replace(module.generation, end=word)


@pytest.fixture(scope="module")
def pytorch(subject: Subject) -> Generator:
    return toolkit.generator(subject.model)


@pytest.fixture(scope="module")
def onnx(subject: Subject) -> Generator:
    return subject.loaded("onnxruntime")


@pytest.fixture(scope="module")
def expected(subject: Subject, pytorch: Generator) -> dict[int, list[list[int]]]:
    """What PyTorch writes by 1 and by 4 beams."""
    return {beams: subject.written(pytorch, range(ROWS), beams=beams) for beams in (1, 4)}


BEAMS = pytest.mark.parametrize("beams", [1, 4])


@BEAMS
def test_texts_vary(expected: dict[int, list[list[int]]], beams: int) -> None:
    """Else the tests below would show little."""
    assert len({tuple(text) for text in expected[beams]}) > 30
    assert len({len(text) for text in expected[beams]}) > 4


def test_greedy_is_the_whole_model_without_a_cache(
    subject: Subject, expected: dict[int, list[list[int]]]
) -> None:
    assert expected[1][:24] == [subject.greedy(row, subject.prompts[row]) for row in range(24)]


def test_beams_are_the_whole_model_without_a_cache(
    subject: Subject, expected: dict[int, list[list[int]]]
) -> None:
    assert expected[4][:24] == [subject.beams(row, 4) for row in range(24)]


@BEAMS
@pytest.mark.parametrize("size", [8, ROWS])
def test_onnx_writes_what_pytorch_writes(
    subject: Subject,
    onnx: Generator,
    expected: dict[int, list[list[int]]],
    size: int,
    beams: int,
) -> None:
    """Eight rows of different lengths, and more than fit into a batch."""
    found = []
    for first in range(0, ROWS, size):
        found += subject.written(onnx, range(first, first + size), beams=beams)
    assert found == expected[beams]


@BEAMS
def test_a_row_alone_and_without_padding_is_continued_alike(
    subject: Subject, onnx: Generator, expected: dict[int, list[list[int]]], beams: int
) -> None:
    assert [subject.alone(onnx, row, beams=beams) for row in range(ROWS)] == expected[beams]


@BEAMS
def test_a_runtime_that_holds_no_values_writes_the_same(
    subject: Subject, onnx: Generator, expected: dict[int, list[list[int]]], beams: int
) -> None:
    decoder = plugins.runtime("reference").load(open_artifact(subject.files["decoder"]), "cpu")
    assert not isinstance(decoder, plugins.Stateful)
    generator = Generator(decoder, onnx.generation, onnx.encoder)
    assert subject.written(generator, range(4), beams=beams) == expected[beams][:4]


@BEAMS
def test_an_encoder_may_run_elsewhere_than_its_decoder(
    subject: Subject,
    pytorch: Generator,
    onnx: Generator,
    expected: dict[int, list[list[int]]],
    beams: int,
) -> None:
    mixed = Generator(onnx.decoder, onnx.generation, pytorch.encoder)
    assert subject.written(mixed, range(16), beams=beams) == expected[beams][:16]


def test_the_start_token_is_the_prompt_after_an_encoder_and_a_decoder_alone_needs_one(
    subject: Subject, onnx: Generator, expected: dict[int, list[list[int]]]
) -> None:
    if subject.source is None:
        with pytest.raises(InputError, match="pass prompts"):
            onnx.generate(most=MOST)
        return
    assert onnx.generate(subject.source, most=MOST) == expected[1]


@pytest.mark.parametrize("runtime", ["pytorch", "onnx"])
def test_the_longest_prompt_is_read_in_as_many_feeds_as_it_needs(
    subject: Subject, runtime: str, request: pytest.FixtureRequest
) -> None:
    """Longer than the decoder takes at once: GPT takes 16 words, the transformer 8."""
    generator: Generator = request.getfixturevalue(runtime)
    length = max(n for n in range(20) if generator.room(n) > 0)
    prompts = np.random.default_rng(3).integers(0, 25, (8, length)).tolist()
    if subject.source is None:
        prompts = [prompt[: length - 2 * row] for row, prompt in enumerate(prompts)]
    given = subject.source and {name: array[:8] for name, array in subject.source.items()}
    found = generator.generate(given, prompts, most=1)
    assert found == [subject.greedy(row, prompt, 1) for row, prompt in enumerate(prompts)]


class Sums:
    """A decoder in numpy: after some words comes their sum, of which only the last digit counts.

    Its state is that sum, its words are the digits. It remembers the shapes that it was fed.
    """

    device = "cpu"

    def __init__(self, more: str = "") -> None:
        self.fed: list[tuple[int, ...]] = []
        self.signature = Signature.parse(
            f"""
            ids: int64[batch, tokens] in 0..9
            past.sum: int64[batch]
            {more}
            where batch = 1..4, tokens = 1..3
            -> logits: float32[batch, tokens, 10]
            -> present.sum: int64[batch]
            """
        )

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.fed.append(feeds["ids"].shape)
        sums = feeds["past.sum"][:, None] + feeds["ids"].cumsum(1)
        return {"logits": np.eye(10, dtype=np.float32)[sums % 10], "present.sum": sums[:, -1]}


ENDLESS = sequence.Generation(start=1, end=-1, most=3)


def test_a_state_without_a_length_starts_as_zeros() -> None:
    assert Generator(Sums(), ENDLESS).generate(prompts=[[1, 2], [0, 9]]) == [[3, 6, 2], [9, 8, 6]]


def test_rows_beyond_the_batch_run_in_turns() -> None:
    sums = Sums()
    assert Generator(sums, ENDLESS).generate(prompts=[[w] for w in range(1, 10)], most=1) == [
        [w] for w in range(1, 10)
    ]
    assert sums.fed == [(4, 1), (4, 1), (1, 1)]


def test_beams_share_the_batch_and_a_prompt_is_read_once_for_all_of_them() -> None:
    sums = Sums()
    Generator(sums, ENDLESS).generate(prompts=[[1], [2], [3]], most=2, beams=2)
    assert sums.fed == [(2, 1), (4, 1), (1, 1), (2, 1)]


def test_a_long_prompt_is_read_in_pieces() -> None:
    sums = Sums()
    assert Generator(sums, ENDLESS).generate(prompts=[[1] * 7], most=2) == [[7, 4]]
    assert sums.fed == [(1, 3), (1, 3), (1, 1), (1, 1)]


def test_a_state_without_a_length_has_room_for_any_text() -> None:
    (text,) = Generator(Sums(), ENDLESS).generate(prompts=[[1] * 50], most=1000)
    assert len(text) == 1000


def test_no_prompts_give_no_texts() -> None:
    assert Generator(Sums(), ENDLESS).generate(prompts=[]) == []


def test_prompts_of_one_length_may_be_an_array() -> None:
    prompts: Any = np.array([[1, 2], [0, 9]])
    assert Generator(Sums(), ENDLESS).generate(prompts=prompts) == [[3, 6, 2], [9, 8, 6]]


@pytest.mark.parametrize(("prompt", "tokens"), [(1, 16), (17, 16), (20, 13), (32, 1)], ids=str)
def test_by_default_no_more_tokens_come_than_there_is_room_for(prompt: int, tokens: int) -> None:
    """16 are its own limit; its state is proven for 31, and the last one of a text is not fed."""
    gpt = made("gpt")
    endless = Generator(gpt.decoder, replace(gpt.generation, end=-1))
    (text,) = endless.generate(prompts=[[1] * prompt])
    assert len(text) == tokens


@cache
def made(name: str) -> Generator:
    """An untrained model in PyTorch, or the sums."""
    if name == "sums":
        return Generator(Sums(), ENDLESS)
    if name == "sums of more":
        return Generator(Sums("weight: float32[batch]"), ENDLESS)
    architecture, arguments = MODELS[name]
    module, signature = zoo.build(architecture, **arguments)
    return toolkit.generator((module.eval(), signature))


SOURCE: dict[str, Any] = {"source": np.ones((2, 5), np.int64), "lengths": np.full(2, 3)}
AT_LEAST_1 = "all three are at least 1"
CLIP = "scale or clip the data as it was for training"


@pytest.mark.parametrize(
    ("name", "call", "message", "hint"),
    [
        ("gpt", {}, "this model continues prompts, and there are none", "pass prompts"),
        ("gpt", {"source": SOURCE}, "this model has no encoder", "pass prompts"),
        (
            *("sums", {"prompts": [[1, 2], [3]]}),
            "prompts have different lengths, and the decoder has no input 'mask' to pad with",
            "run those of one length together",
        ),
        (
            *("transformer", {"source": SOURCE, "prompts": [[1]]}),
            *("inputs have different numbers of rows: [1, 2]", "one row a sequence"),
        ),
        (
            *("transformer", {"source": {**SOURCE, "lengths": np.full(3, 3)}}),
            *("inputs have different numbers of rows: [2, 3]", "one row a sequence"),
        ),
        (
            *("gpt", {"prompts": [[1] * 20], "most": 14}),
            "14 tokens after 20 are more than the decoder's state is proven for",
            "ask for at most 13 tokens",
        ),
        (
            *("gpt", {"prompts": [[1] * 40]}),
            "1 tokens after 40 are more than the decoder's state is proven for",
            "ask for at most 0 tokens",
        ),
        (
            *("gpt", {"prompts": [[1]], "beams": 17}),
            *("17 beams are more than its batch of 16", "use fewer beams"),
        ),
        (
            *("gpt", {"prompts": [[1, 2], []]}),
            *("16 tokens by 1 beams after prompts of 0 tokens", AT_LEAST_1),
        ),
        (
            *("gpt", {"prompts": [[1]], "most": 0}),
            *("0 tokens by 1 beams after prompts of 1 tokens", AT_LEAST_1),
        ),
        (
            *("gpt", {"prompts": [[1]], "most": 2, "beams": 0}),
            *("2 tokens by 0 beams after prompts of 1 tokens", AT_LEAST_1),
        ),
        ("gpt", {"prompts": [[1, 50]]}, "input 'ids' holds 50, expected 0..49", CLIP),
        ("gpt", {"prompts": [[1], [2, -1]]}, "input 'ids' holds -1, expected 0..49", CLIP),
        (
            *("transformer", {"source": {**SOURCE, "lengths": np.zeros(2, np.int64)}}),
            *("input 'lengths' holds 0, expected 1..16", CLIP),
        ),
        (
            *("transformer", {"source": {**SOURCE, "source": np.ones((2, 5), np.int32)}}),
            *("input 'source' is int32, expected int64", "convert with x.astype('int64')"),
        ),
        (
            *("transformer", {"source": {"source": SOURCE["source"]}}),
            *("input 'lengths' is missing", "it is lengths: int64[batch] in 1..16"),
        ),
        (
            *("transformer", {"source": {**SOURCE, "mask": SOURCE["source"]}}),
            *("there is no input 'mask'", "inputs are: lengths, source"),
        ),
        (
            *("sums of more", {"prompts": [[1]]}),
            *("nothing says what the decoder's 'weight' is", "pass it in source"),
        ),
    ],
)
def test_what_cannot_be_generated_is_refused(
    name: str, call: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        made(name).generate(**call)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_word_out_of_range_is_refused_before_anything_runs() -> None:
    sums = Sums()
    with pytest.raises(InputError):
        Generator(sums, ENDLESS).generate(prompts=[*[[1]] * 9, [10]])
    assert sums.fed == []
