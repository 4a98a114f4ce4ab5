"""Which token comes next: greedy and beam search against every sequence there is."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import special

from toolkit.inference.search import beam_search, greedy, largest, log_softmax

END = 0
UNTIMED = settings(max_examples=50, deadline=None)  # the machine may be busy
SEEDS = st.integers(0, 10_000)
PENALTIES = st.sampled_from([0.0, 0.5, 1.0, 2.0])


class Model:
    """A model whose scores depend on the row and on the whole text so far, by a random table."""

    def __init__(self, *, words: int, rows: Sequence[int] = (0,), seed: int = 0, end: float = 0):
        self.words, self.rows, self._seed, self._end = words, rows, seed, end
        self.texts: list[tuple[int, tuple[int, ...]]] = []
        self.steps = 0

    def scores(self, row: int, text: tuple[int, ...]) -> np.ndarray:
        found: np.ndarray = 2 * np.random.default_rng([self._seed, row, *text]).standard_normal(
            self.words
        )
        found[END] += self._end
        return found

    def start(self, beams: int = 1) -> np.ndarray:
        """The scores of what starts each text, `beams` times a row."""
        self.texts, self.steps = [(row, ()) for row in self.rows for _ in range(beams)], 0
        return np.array([self.scores(*text) for text in self.texts])

    def step(self, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
        old, self.steps = self.texts, self.steps + 1
        self.texts = [
            (old[parent][0], (*old[parent][1], int(token)))
            for parent, token in zip(parents, tokens, strict=True)
        ]
        return np.array([self.scores(*text) for text in self.texts])

    def greedy(self, most: int) -> list[list[int]]:
        return greedy(self.step, self.start(), end=END, most=most)

    def beams(self, count: int, most: int, penalty: float = 1.0) -> list[list[int]]:
        return beam_search(
            self.step, self.start(count), beams=count, end=END, most=most, length_penalty=penalty
        )


class Told(Model):
    """A model of which probabilities are written down, by text; what is left is for word 0."""

    def __init__(self, probabilities: Mapping[tuple[int, ...], Sequence[float]]) -> None:
        words = len(next(iter(probabilities.values()))) + 1
        super().__init__(words=words)
        self._told = probabilities

    def scores(self, row: int, text: tuple[int, ...]) -> np.ndarray:
        others = self._told.get(text, [0.0] * (self.words - 1))
        with np.errstate(divide="ignore"):
            return np.log([1 - sum(others), *others])


def sequences(words: int, most: int) -> Iterator[tuple[int, ...]]:
    """All that end within `most` tokens, the end token last, and all of `most` that do not."""
    others = [token for token in range(words) if token != END]
    for length in range(most):
        yield from ((*text, END) for text in product(others, repeat=length))
    yield from product(others, repeat=most)


def best(model: Model, row: int, most: int, penalty: float) -> list[int]:
    """Of all sequences the one of the highest log p / length ** penalty, its end token counted."""

    def worth(tokens: tuple[int, ...]) -> float:
        steps = (
            special.log_softmax(model.scores(row, tokens[:n]))[t] for n, t in enumerate(tokens)
        )
        return float(sum(steps) / len(tokens) ** penalty)

    return [token for token in max(sequences(model.words, most), key=worth) if token != END]


@UNTIMED
@given(
    seed=SEEDS,
    words=st.integers(2, 4),
    most=st.integers(1, 4),
    penalty=PENALTIES,
    end=st.sampled_from([-2.0, 0.0, 2.0]),
)
def test_beams_enough_for_every_text_find_the_best_of_all(
    seed: int, words: int, most: int, penalty: float, end: float
) -> None:
    model = Model(words=words, rows=(0, 1), seed=seed, end=end)
    expected = [best(model, row, most, penalty) for row in model.rows]
    assert model.beams(words**most, most, penalty) == expected


@UNTIMED
@given(seed=SEEDS, most=st.integers(1, 4), beams=st.integers(5, 12))
def test_more_beams_than_words_wait_for_as_many_texts_to_end(
    seed: int, most: int, beams: int
) -> None:
    """Of two words only one goes on: `most` + 1 texts in all, fewer than beams."""
    model = Model(words=2, seed=seed)
    assert model.beams(beams, most) == [best(model, 0, most, 1.0)]


@UNTIMED
@given(seed=SEEDS, most=st.integers(1, 6))
def test_greedy_takes_the_most_probable_word_each_time(seed: int, most: int) -> None:
    model = Model(words=5, seed=seed)
    text: list[int] = []
    while len(text) < most and (word := int(model.scores(0, tuple(text)).argmax())) != END:
        text.append(word)
    assert model.greedy(most) == [text]


@UNTIMED
@given(seed=SEEDS, most=st.integers(1, 6), penalty=PENALTIES)
def test_one_beam_is_greedy(seed: int, most: int, penalty: float) -> None:
    """Whatever the penalty: there is one hypothesis, and it ends where nothing is more probable."""
    model = Model(words=5, rows=range(3), seed=seed)
    assert model.beams(1, most, penalty) == model.greedy(most)


@UNTIMED
@given(seed=SEEDS, beams=st.integers(1, 5), penalty=PENALTIES)
def test_a_row_does_not_depend_on_those_beside_it(seed: int, beams: int, penalty: float) -> None:
    """Some end early and some never: a row that is done waits for the others."""
    together = Model(words=6, rows=range(6), seed=seed).beams(beams, 8, penalty)
    alone = [Model(words=6, rows=[row], seed=seed).beams(beams, 8, penalty)[0] for row in range(6)]
    assert together == alone


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("beams", [1, 4])
def test_no_more_than_most_tokens_come(beams: int, most: int) -> None:
    model = Model(words=5, rows=range(8), end=-100)
    assert {len(text) for text in model.beams(beams, most)} == {most}


@pytest.mark.parametrize("beams", [1, 4])
def test_the_last_token_is_not_fed_again(beams: int) -> None:
    model = Model(words=5, end=-100)
    model.beams(beams, 3)
    assert model.steps == 2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_text_may_end_before_it_starts(beams: int) -> None:
    model = Model(words=5, rows=range(2), end=100)
    assert model.beams(beams, 4) == [[], []]


def test_greedy_stops_where_all_rows_have_ended() -> None:
    model = Model(words=5, rows=range(3), end=100)
    assert (model.greedy(10), model.steps) == ([[], [], []], 0)


def test_an_end_token_below_the_beams_ends_nothing() -> None:
    """Two words are more probable than the end: two beams go on, and nothing has ended yet."""
    model = Told({(): (0.45, 0.45), (1,): (0.9, 0.0), (2,): (0.0, 0.9)})
    model.beams(2, 2)
    assert model.texts == [(0, (1,)), (0, (2,))]


def test_a_row_is_done_when_as_many_have_ended_as_there_are_beams() -> None:
    """The end, and a word with the end: word 2 would go on for ever, and is not waited for."""
    forever = {(2,) * n: (0.0, 1.0) for n in range(1, 9)}
    model = Told({(): (0.3, 0.3), (1,): (0.0, 0.0), **forever})
    model.beams(2, 8)
    assert model.steps == 1


@pytest.mark.parametrize(
    ("penalty", "text"), [(0.0, []), (1.0, [1])], ids=["whole probability", "a token"]
)
def test_a_penalty_of_length_helps_the_longer_text(penalty: float, text: list[int]) -> None:
    """Nothing but the end: p = 0.6. A word and the end: 0.4 in two tokens, 0.63 each."""
    model = Told({(): (0.4,), (1,): (0.0,)})
    assert model.beams(2, 4, penalty) == [text]


def test_what_has_not_ended_counts_as_it_stands() -> None:
    """Words 1 1 with p = 0.54 have no end yet, and 0.54 ** (1 / 2) is more than the end's 0.4."""
    model = Told({(): (0.6,), (1,): (0.9,)})
    assert model.beams(3, 2) == [[1, 1]]


def test_a_word_of_no_probability_is_never_taken() -> None:
    """Word 2 has a score of -inf, and there are more beams than other words."""
    model = Told({(1,) * n: (0.7, 0.0) for n in range(3)})
    assert model.beams(4, 3, 2.0) == [[1, 1, 1]]


# Few different values: most of them tie.
TIES = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5])


@UNTIMED
@given(values=arrays(np.float64, st.integers(1, 40), elements=TIES), count=st.integers(1, 50))
def test_the_largest_are_those_that_a_stable_sort_puts_first(
    values: np.ndarray, count: int
) -> None:
    expected = sorted(range(len(values)), key=lambda place: -values[place])[:count]
    assert largest(values, count).tolist() == expected


@UNTIMED
@given(
    arrays(
        np.float32,
        array_shapes(min_dims=1, max_dims=3, max_side=6),
        elements=st.floats(-1000, 1000, width=32),
    )
)
def test_log_softmax_is_scipys_in_float64(logits: np.ndarray) -> None:
    expected = special.log_softmax(logits.astype(np.float64), axis=-1)
    np.testing.assert_allclose(log_softmax(logits), expected, rtol=1e-14, atol=1e-14)
