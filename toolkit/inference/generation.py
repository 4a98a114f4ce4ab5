"""Tokens one after another, on any runtime: the loop around an encoder and a decoder with a state.

`toolkit.sequence` says how their inputs and outputs are named, `toolkit.inference.search` which
token comes next. Where a session can hold values, the state (a KV cache) stays in the runtime's
own buffers from step to step; where it cannot, it goes through arrays.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from toolkit.dtypes import numpy_dtype
from toolkit.errors import InputError
from toolkit.inference.search import beam_search, greedy
from toolkit.plugins import Held, Session, Stateful
from toolkit.sequence import IDS, LOGITS, MASK, PAST, PLACEHOLDER, PRESENT, Generation
from toolkit.signature import Signature, TensorSpec

Rows = Mapping[str, np.ndarray]
Prompts = Sequence[Sequence[int]]


class Generator:
    """An encoder, where the model has one, and a decoder, ready to generate."""

    def __init__(
        self, decoder: Session, generation: Generation, encoder: Session | None = None
    ) -> None:
        self.decoder, self.generation, self.encoder = decoder, generation, encoder
        self.stepwise = self.longest_step == 1
        """The decoder takes one token at a time."""

    def generate(
        self,
        source: Rows | None = None,
        prompts: Prompts | None = None,
        *,
        most: int | None = None,
        beams: int = 1,
        length_penalty: float = 1.0,
    ) -> list[list[int]]:
        """The tokens that follow in each row, without the one that ends it.

        `source`: the inputs of the encoder, a row a sequence. `prompts`: the tokens that each row
        starts with, in place of the start token alone. `most`: how many may follow. `beams`: 1 is
        greedy; more keep that many hypotheses (see `beam_search`). Any number of rows: they are
        run as many at a time as the decoder's signature allows. Raises InputError where the inputs
        do not fit the signatures, before anything runs.
        """
        rows = self._rows(source, prompts)
        prompts = [[self.generation.start]] * rows if prompts is None else prompts
        longest = max(map(len, prompts), default=0)
        self._require_one_step(longest)
        room = self.room(longest)
        if most is None:  # and 1 where there is no room: the error below then says so
            most = max(min(self.generation.most, room), 1)
        if most < 1 or beams < 1 or not all(map(len, prompts)):
            shortest = min(map(len, prompts), default=0)
            raise InputError(
                f"{most} tokens by {beams} beams after prompts of {shortest} tokens",
                "all three are at least 1",
            )
        if most > room:
            raise InputError(
                f"{most} tokens after {longest} are more than the decoder's state is proven for",
                f"ask for at most {room} tokens",
            )
        self._require_words(prompts)
        size = self._at_once(beams)
        chunks = [slice(start, start + size) for start in range(0, rows, size)]
        parts = [{name: array[c] for name, array in (source or {}).items()} for c in chunks]
        if self.encoder is not None:
            for part in parts:
                self.encoder.signature.validate(part)
        found: list[list[int]] = []
        for chunk, part in zip(chunks, parts, strict=True):
            run = _Run(self, part, prompts[chunk], beams)
            search = {"end": self.generation.end, "most": most}
            if beams == 1:
                found += greedy(run.step, run.logits, **search)
            else:
                found += beam_search(
                    run.step, run.logits, beams=beams, length_penalty=length_penalty, **search
                )
        return found

    def scores(self, source: Rows | None, prompts: Prompts) -> np.ndarray:
        """Of each token to follow each prompt: [rows, words]. As many rows as one batch takes."""
        return _Run(self, source or {}, prompts, beams=1).logits

    def followed(self, source: Rows | None, prompts: Prompts, tokens: np.ndarray) -> np.ndarray:
        """Scores before each of the tokens [rows, steps] that are written, whatever it would write
        itself, with the state carried from step to step: [steps, rows, words]."""
        run = _Run(self, source or {}, prompts, beams=1)
        same = np.arange(len(prompts))
        return np.stack([run.logits, *(run.step(column, same) for column in tokens.T[:-1])])

    def _rows(self, source: Rows | None, prompts: Prompts | None) -> int:
        if self.encoder is None and source:
            raise InputError("this model has no encoder", "pass prompts")
        if self.encoder is None and prompts is None:
            raise InputError("this model continues prompts, and there are none", "pass prompts")
        counts = {len(a) for a in (source or {}).values()}
        counts |= {len(prompts)} if prompts is not None else set()
        if not counts:
            raise InputError("there is nothing to write about", "pass the encoder's inputs")
        if len(counts) != 1:
            raise InputError(
                f"inputs have different numbers of rows: {sorted(counts)}", "one row a sequence"
            )
        return counts.pop()

    def _require_words(self, prompts: Prompts) -> None:
        ids = next(s for s in self.decoder.signature.inputs if s.name == IDS)
        words = np.array([t for p in prompts for t in p], numpy_dtype(ids.dtype))
        Signature((replace(ids, shape=words.shape),)).validate({IDS: words})

    def _require_one_step(self, longest: int) -> None:
        tokens = self.longest_step
        if self.generation.at_once and longest > tokens:
            raise InputError(
                f"a prompt of {longest} tokens is more than the {tokens} that the decoder takes"
                " in one step, and parts of a prompt attend to later ones",
                "write shorter prompts, or ship it for more tokens",
            )

    @property
    def longest_step(self) -> int:
        """Tokens that the decoder takes at once."""
        tokens = next(s for s in self.decoder.signature.inputs if s.name == IDS).shape[1]
        return tokens if isinstance(tokens, int) else self.decoder.signature.dim(tokens).high

    def room(self, prompt: int) -> int:
        """How many tokens may follow a prompt of so many: its state is proven up to a length."""
        longest = _longest_state(self.decoder.signature)
        # The last token that follows is not fed again.
        return sys.maxsize if longest is None else max(longest + 2 - prompt, 0)

    @property
    def batch(self) -> int:
        """Rows, or hypotheses of rows, that the decoder takes at once."""
        batch = self.decoder.signature.batch
        return self.decoder.signature.dim(batch).high if batch else 1

    def _at_once(self, beams: int) -> int:
        if self.batch < beams:
            raise InputError(
                f"{beams} beams are more than its batch of {self.batch}", "use fewer beams"
            )
        return self.batch // beams


def written(subject: Generator, rows: Rows, **options: Any) -> list[list[int]]:
    """What follows each row: of the encoder's inputs, of prompts, or of both."""
    return subject.generate(*asked(subject, rows), **options)


def asked(subject: Generator, rows: Rows) -> tuple[Rows | None, list[list[int]]]:
    """Rows of data as `generate` takes them: the encoder's inputs, and a prompt for each row, which
    is the start token alone where nothing but the encoder says what is written about."""
    if subject.encoder is None:
        return None, prompts_of(rows)
    source = {s.name: rows[s.name] for s in subject.encoder.signature.inputs}
    if subject.generation.placeholder is not None:
        return source, prompts_of(rows)
    return source, [[subject.generation.start] for _ in next(iter(source.values()))]


def prompts_of(rows: Rows) -> list[list[int]]:
    """`ids` [rows, tokens] without what `mask`, where there is one, says is padding."""
    mask = rows.get(MASK, np.ones_like(rows[IDS]))
    return [[int(t) for t in ids[real > 0]] for ids, real in zip(rows[IDS], mask, strict=True)]


def room_after(subject: Generator, rows: Rows) -> int:
    """Tokens that may follow the longest of these rows."""
    longest = max(map(len, asked(subject, rows)[1]))
    return min(subject.generation.most, subject.room(longest))


@dataclass(frozen=True)
class _State:
    """What the next step starts from: `past` and `given` are held, `arrays` are not."""

    past: dict[str, Held] = field(default_factory=dict)
    given: dict[str, Held] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class _Run:
    """The state of some rows (times beams) on their way through the decoder."""

    def __init__(self, owner: Generator, source: Rows, prompts: Prompts, beams: int) -> None:
        self._decoder = _stateful(owner.decoder)
        self._signature = owner.decoder.signature
        self._inputs = {s.name: s for s in self._signature.inputs}
        self._present = [s.name for s in self._signature.outputs if s.name.startswith(PRESENT)]
        self._placeholder, self._width = owner.generation.placeholder, owner.longest_step
        self._state = self._first(owner, source, len(prompts))
        self.logits = self._prefilled(prompts)
        if beams > 1:
            rows = np.repeat(np.arange(len(prompts)), beams)
            self.logits, self._state = self.logits[rows], self._selected(rows)

    def step(self, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
        if not np.array_equal(parents, np.arange(len(parents))):
            self._state = self._selected(parents)
        return self._fed(tokens[:, None].astype(np.int64))

    def _first(self, owner: Generator, source: Rows, rows: int) -> _State:
        wanted = [n for n in self._inputs if n not in (IDS, MASK, PLACEHOLDER)]
        state, held = dict[str, np.ndarray](source), dict[str, Held]()
        if owner.encoder is not None:
            outputs = [s.name for s in owner.encoder.signature.outputs]
            shared = type(owner.encoder) is type(owner.decoder) and isinstance(
                owner.encoder, Stateful
            )
            arrays, held = _stateful(owner.encoder).step(source, {}, outputs if shared else ())
            state |= arrays
        past, given, plain = dict[str, Held](), dict[str, Held](), dict[str, np.ndarray]()
        for name in wanted:
            theirs = PRESENT + name.removeprefix(PAST) if name.startswith(PAST) else name
            if theirs in held:
                (past if theirs != name else given)[name] = held[theirs]
            elif theirs in state:
                plain[name] = state[theirs]
            elif theirs != name:
                plain[name] = _empty(self._inputs[name], rows, self._signature.batch)
            else:
                raise InputError(
                    f"nothing says what the decoder's '{name}' is", "pass it in source"
                )
        return _State(past, given, plain)

    def _prefilled(self, prompts: Prompts) -> np.ndarray:
        """Scores after the prompts, in as many steps as the decoder needs for their length."""
        longest = max(map(len, prompts))
        if MASK not in self._inputs and any(len(p) != longest for p in prompts):
            raise InputError(
                "prompts have different lengths, and the decoder has no input 'mask' to pad with",
                "run those of one length together",
            )
        ids = np.zeros((len(prompts), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = prompt
            mask[row, longest - len(prompt) :] = 1
        for at in range(0, longest, self._width):
            logits = self._fed(ids[:, at : at + self._width], mask[:, at : at + self._width])
        return logits

    def _fed(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        feeds = {IDS: ids.astype(numpy_dtype(self._inputs[IDS].dtype)), **self._state.arrays}
        if MASK in self._inputs:
            feeds[MASK] = np.ones_like(ids) if mask is None else mask
        if PLACEHOLDER in self._inputs:
            asked = ids == self._placeholder if mask is not None else np.zeros_like(ids)
            feeds[PLACEHOLDER] = asked.astype(ids.dtype)  # what is written itself is a word
        held = {**self._state.given, **self._state.past}
        outputs, present = self._decoder.step(feeds, held, self._present)
        past = {PAST + n.removeprefix(PRESENT): value for n, value in present.items()}
        rest = {n: a for n, a in self._state.arrays.items() if n not in past}
        self._state = _State(past, self._state.given, rest)
        logits: np.ndarray = outputs[LOGITS][:, -1]
        return logits

    def _selected(self, rows: np.ndarray) -> _State:
        held = self._decoder.select({**self._state.given, **self._state.past}, rows)
        return _State(
            {n: held[n] for n in self._state.past},
            {n: held[n] for n in self._state.given},
            {n: a[rows] for n, a in self._state.arrays.items()},
        )


class _ByArrays:
    """`Stateful` for a session that has only `run`: what it holds are arrays."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def step(
        self, feeds: Rows, state: Mapping[str, Held], keep: Collection[str]
    ) -> tuple[dict[str, np.ndarray], dict[str, Held]]:
        found = self._session.run({**feeds, **state})
        arrays = {name: array for name, array in found.items() if name not in keep}
        return arrays, {name: found[name] for name in keep}

    def select(self, state: Mapping[str, Held], rows: np.ndarray) -> dict[str, Held]:
        return {name: array[rows] for name, array in state.items()}


def _stateful(session: Session) -> Stateful:
    return session if isinstance(session, Stateful) else _ByArrays(session)


def _empty(spec: TensorSpec, rows: int, batch: str | None) -> np.ndarray:
    """The state before the first token: of length 0 where it has one, else zeros."""
    sizes = [rows if n == batch else n if isinstance(n, int) else 0 for n in spec.shape]
    return np.zeros(sizes, numpy_dtype(spec.dtype))


def _longest_state(signature: Signature) -> int | None:
    """The greatest length of the state that the signature allows; None where it has no length."""
    lengths = {
        n
        for s in signature.inputs
        if s.name.startswith(PAST)
        for n in s.shape
        if isinstance(n, str) and n != signature.batch
    }
    return min((signature.dim(n).high for n in lengths), default=None)
