"""The text form of a signature: what is printed is read back, and mistakes are pointed at."""

from math import inf

import pytest
from hypothesis import example, given, settings, strategies as st

from toolkit.domain import Choices, FromData, Interval
from toolkit.dtypes import DTYPES
from toolkit.errors import InputError
from toolkit.signature import Dim, Signature, TensorSpec

UNTIMED = settings(deadline=None)  # the machine may be busy
NAMES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.text('ab ;:.,"\\\n[]{}', min_size=1, max_size=6),
    st.from_regex(r"[a-z_][a-z0-9_]{0,4}(\.[a-z0-9_]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["in", "where", "step", "inf", "data", "float32", "5", "-1", "->", "input.1", "x y"]
    ),
)
WHOLE = st.integers(-(2**63), 2**64)
REAL = st.floats(allow_nan=False, allow_infinity=False)
CHOICES = st.lists(WHOLE | REAL, min_size=1, max_size=4).map(lambda v: Choices(tuple(v)))


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    low, high = sorted((draw(WHOLE | REAL | st.just(-inf)), draw(WHOLE | REAL | st.just(inf))))
    step = st.none() | st.integers(1, 2**40) | st.floats(0, inf, exclude_min=True, exclude_max=True)
    return Interval(low, high, draw(step))


@st.composite
def sizes(draw: st.DrawFn) -> Interval | Choices:
    some = draw(st.lists(st.integers(0, 10**6), min_size=2, max_size=4))
    step = draw(st.none() | st.integers(1, 64))
    return draw(st.sampled_from([Interval(min(some), max(some), step), Choices(tuple(some))]))


def tensors(names: list[str], dims: list[str]) -> st.SearchStrategy[tuple[TensorSpec, ...]]:
    axis = st.integers(0, 10**6) | st.sampled_from(dims) if dims else st.integers(0, 10**6)
    shapes = st.lists(axis, max_size=4).map(tuple)
    values = st.none() | intervals() | CHOICES | st.just(FromData())
    dtypes = st.sampled_from(list(DTYPES))
    return st.tuples(*(st.builds(TensorSpec, st.just(n), dtypes, shapes, values) for n in names))


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Inputs that share dimensions, outputs that share them too or have their own."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(1, len(names)))
    inputs = draw(tensors(names[:cut], draw(st.lists(NAMES, max_size=3, unique=True))))
    used = dict.fromkeys(n for s in inputs for n in s.shape if isinstance(n, str))
    outputs = draw(tensors(names[cut:], [*used, *draw(st.lists(NAMES, max_size=2))]))
    return Signature(inputs, tuple(Dim(n, draw(sizes())) for n in used), outputs)


@UNTIMED
@given(signatures())
@example(Signature((TensorSpec('a;b"c', "float32", ()),)))
def test_what_is_printed_is_read_back_as_the_same_signature(signature: Signature) -> None:
    assert Signature.parse(str(signature)) == signature


TEXT = """
    pixels: float32[batch, 1, 28, 28] in 0..1
    mask:   int64[batch, tokens] in {0, 1}
    where batch = 1..64, tokens = 8..512 step 8
    -> logits: float32[batch, 10]
"""


def test_every_part_of_the_text_form_is_read() -> None:
    assert Signature.parse(TEXT) == Signature(
        (
            TensorSpec("pixels", "float32", ("batch", 1, 28, 28), Interval(0, 1)),
            TensorSpec("mask", "int64", ("batch", "tokens"), Choices((0, 1))),
        ),
        (Dim("batch", Interval(1, 64)), Dim("tokens", Interval(8, 512, 8))),
        (TensorSpec("logits", "float32", ("batch", 10)),),
    )


def test_a_signature_is_printed_with_its_names_aligned() -> None:
    assert str(Signature.parse(TEXT)).splitlines() == [
        "pixels: float32[batch, 1, 28, 28] in 0..1",
        "mask:   int64[batch, tokens] in {0, 1}",
        "where batch = 1..64, tokens = 8..512 step 8",
        "-> logits: float32[batch, 10]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x: float32[n]; y: int8[n]; where n = 1..4; -> z: bool[]",
        "x: float32[n]\ny: int8[n]\nwhere n = 1..4\n-> z: bool[]",
        "\n\n  x : float32 [ n ] ;\r\n y:int8[n]\nwhere n=1..4;->z:bool[];\n",
        '"x": float32["n"]; y: int8[n]; where "n" = 1..4; -> z: bool[]',
        "where n = 1..4; -> z: bool[]; x: float32[n]; y: int8[n]",
    ],
)
def test_layout_and_order_of_lines_do_not_matter(text: str) -> None:
    expected = "x: float32[n]\ny: int8[n]\nwhere n = 1..4\n-> z: bool[]"
    assert str(Signature.parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"a;b": float32[2]', ["a;b"]),
        ('"a;b": float32[2]; "c;d": float32[2]', ["a;b", "c;d"]),
        (r'"a\"b": float32[2]; c: float32[2]', ['a"b', "c"]),
        (r'a: float32[2]; "b\"c": float32[2]', ["a", 'b"c']),
        (r'"a\nb": float32[2]', ["a\nb"]),
        ("where: float32[2]; step: float32[2]", ["where", "step"]),
        ("input.1: float32[2]", ["input.1"]),
    ],
)
def test_names_may_hold_anything_in_quotes(text: str, names: list[str]) -> None:
    assert [s.name for s in Signature.parse(text).inputs] == names


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("0..1", Interval(0, 1)),
        ("-1.5..2.25", Interval(-1.5, 2.25)),
        ("-inf..inf", Interval(-inf, inf)),
        ("1e-3..1e3", Interval(0.001, 1000.0)),
        ("0..255 step 5", Interval(0, 255, 5)),
        ("7", Interval(7, 7)),
        ("{-1, 0.5, 3}", Choices((-1, 0.5, 3))),
    ],
)
def test_ranges_and_sets_of_values_are_read(text: str, domain: Interval | Choices) -> None:
    assert Signature.parse(f"x: float32[] in {text}").inputs[0].values == domain


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("x float32[2]", 1, "':'"),
        ("x: float32[2]\n\n: float32[2]", 3, "a tensor name"),
        ("x: float32[2]; y: 5[2]", 2, "a dtype"),
        ("x: float32", 1, "'[', the line ends"),
        ("x: float32[a b]", 1, "',', got 'b'"),
        ("x: float32[2", 1, "',', the line ends"),
        ("x: float32[-1]", 1, "a size or a dimension name"),
        ("x: float32[1.5]", 1, "a size or a dimension name"),
        ("x: float32[2] in", 1, "a number"),
        ("x: float32[2] in a..b", 1, "a number"),
        ("x: float32[2] in 0..nan", 1, "a number"),
        ("x: float32[2] in {}", 1, "a number"),
        ("x: float32[2] in {0, 1", 1, "'}'"),
        ("x: float32[2] in 0..1 step", 1, "a number"),
        ("x: float32[2] in 0..1 of 3", 1, "the end of the line"),
        ("x: float32[2] in data 0..1", 1, "the end of the line"),
        ("x: float32[n]\nwhere n = data", 2, "a number"),
        ("x: float32[n]\nwhere", 2, "a dimension name"),
        ("x: float32[n]\nwhere n 1..4", 2, "'='"),
        ("x: float32[n]\nwhere n = 1..4,", 2, "a dimension name"),
        ("x: float32[n]\nwhere n = 1..4\n-> float32[n]", 3, "':'"),
        ('"x: float32[2]', 1, "a tensor name"),
        (r'"\q": float32[2]', 1, "a tensor name"),
        ('"a\tb": float32[2]', 1, "a tensor name"),
        ("x: float32[2]\ny: float32[2]] ", 2, "the end of the line"),
        ("é: float32[2]", 1, "a tensor name"),
    ],
)
def test_a_mistake_is_pointed_at_with_its_line_and_what_was_expected(
    text: str, line: int, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        Signature.parse(text)
    assert f"signature line {line}: expected {expected}" in caught.value.message


@pytest.mark.parametrize("text", ["", "  \n;\n", "-> y: float32[2]"])
def test_refuses_a_signature_without_inputs(text: str) -> None:
    with pytest.raises(InputError, match="the signature has no input"):
        Signature.parse(text)


VALID = "x: float32[n, t]\nmask: int64[n, t] in {0, 1}\nwhere n = 1..4, t = 1..9"


@pytest.mark.parametrize("outputs", ["", "\n-> logits: float32[n, t, 5]"])
def test_what_is_valid_where_is_parsed_and_printed_without_loss(outputs: str) -> None:
    text = f"{VALID}{outputs}\nlogits valid where mask"
    signature = Signature.parse(text)
    assert signature.valid == (("logits", "mask"),)
    assert Signature.parse(str(signature)) == signature
    assert str(signature).splitlines()[-1] == "logits valid where mask"


def test_what_an_output_is_and_what_it_feeds_is_parsed_and_printed_without_loss() -> None:
    text = f"{VALID}\n-> y: float32[n, t]\ny as masks\ny feeds x"
    signature = Signature.parse(text)
    assert (signature.kinds, signature.carried) == ((("y", "masks"),), (("y", "x"),))
    assert Signature.parse(str(signature)) == signature
    assert str(signature).splitlines()[-2:] == ["y as masks", "y feeds x"]


def test_a_tensor_may_be_called_valid() -> None:
    text = 'valid: float32[n]\nwhere n = 1..4\n-> y: float32[n]\ny valid where "valid"'
    signature = Signature.parse(text)
    assert signature.inputs[0].name == "valid"
    assert Signature.parse(str(signature)) == signature


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("logits valid where ids", "which is no input"),
        ("logits valid where mask; logits valid where x", "two masks"),
        ("logits valid mask", "expected 'where'"),
        ("logits valid where", "expected the name of a mask"),
        ("logits as", "expected what the output is"),
        ("logits as masks; logits as tokens", "two kinds"),
        ("h feeds ids", "'h' feeds 'ids', which is no input"),
        ("h feeds x; h feeds mask", "feeds two inputs"),
    ],
)
def test_refuses_what_is_said_of_an_output_and_does_not_fit(line: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Signature.parse(f"{VALID}\n{line}")
