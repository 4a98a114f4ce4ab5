"""The text form of a signature: parsed and printed without loss.

    pixels: float32[batch, 1, 28, 28] in 0..1
    mask:   int64[batch, tokens] in {0, 1}
    tree:   int64[batch, nodes] in data
    where batch = 1..64, tokens = 8..512 step 8, nodes = 2..32
    -> logits: float32[batch, tokens, 10]
    logits valid where mask
    logits as logits
    h_n feeds h_0

One line a tensor (or `;` between them). `in data`: the values come from examples or data only.
`valid where`: positions of an output for which the mask is 0 mean nothing. `as`: what an output is
(`toolkit.parity.kinds`). `feeds`: the state that an output hands to an input of the next run.
Names that are not plain words are quoted as in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import inf
from typing import NoReturn

from toolkit.domain import Choices, Domain, FromData, Interval, Number
from toolkit.errors import InputError
from toolkit.signature import Dim, Signature, TensorSpec

_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})"
    r"|(?P<number>-?(?:inf(?!\w|\.\w)|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<mark>->|\.\.|[\[\]{},:=])"
    r"|(?P<space>[ \t]+)"
    r"|(?P<bad>.)"
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*\Z")
_RESERVED = frozenset({"in", "where", "step", "inf", "valid"})
_OBJECTS = {
    "valid": "the name of a mask",
    "as": "what the output is",
    "feeds": "the name of an input",
}
"""What a line says of an output: its second word, and what is named last."""
_LINE = re.compile(rf"(?:{_STRING}|[^;\n])*")


def parse(text: str) -> Signature:
    """Read a signature. Raises InputError that names the line and what was expected there."""
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    dims: list[Dim] = []
    said: dict[str, list[tuple[str, str]]] = {"valid": [], "as": [], "feeds": []}
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        reader = _Reader(line.strip(), number)
        if reader.take("->"):
            outputs.append(_tensor(reader))
        elif reader.peek(1) != ":" and reader.take("where"):
            dims.append(_dim(reader))
            while reader.take(","):
                dims.append(_dim(reader))
        elif (verb := reader.peek(1)) in _OBJECTS:
            output = reader.name("the name of an output")
            reader.expect(verb)
            if verb == "valid":
                reader.expect("where")
            said[verb].append((output, reader.name(_OBJECTS[verb])))
        else:
            inputs.append(_tensor(reader))
        reader.end()
    if not inputs:
        raise InputError("the signature has no input", "write pixels: float32[batch, 1, 28, 28]")
    facts = (tuple(pairs) for pairs in said.values())
    return Signature(tuple(inputs), tuple(dims), tuple(outputs), *facts)


def _lines(text: str) -> Iterator[str]:
    """The text between line breaks and semicolons that are not part of a quoted name."""
    at = 0
    while at <= len(text) and (found := _LINE.match(text, at)):
        yield found.group()
        at = found.end() + 1


def render(signature: Signature) -> str:
    """The text that `parse` reads back into an equal signature, names aligned."""
    width = max(len(_quoted(s.name)) for s in signature.inputs) + 1
    lines = [render_tensor(s, width) for s in signature.inputs]
    if signature.dims:
        ranges = (f"{_quoted(d.name)} = {render_domain(d.sizes)}" for d in signature.dims)
        lines.append("where " + ", ".join(ranges))
    lines += ["-> " + render_tensor(s) for s in signature.outputs]
    lines += [f"{_quoted(o)} valid where {_quoted(mask)}" for o, mask in signature.valid]
    lines += [f"{_quoted(o)} as {_quoted(kind)}" for o, kind in signature.kinds]
    lines += [f"{_quoted(o)} feeds {_quoted(name)}" for o, name in signature.carried]
    return "\n".join(lines)


def render_tensor(spec: TensorSpec, width: int = 0) -> str:
    name = f"{_quoted(spec.name)}:".ljust(width)
    shape = ", ".join(_quoted(n) if isinstance(n, str) else str(n) for n in spec.shape)
    values = f" in {render_domain(spec.values)}" if spec.values is not None else ""
    return f"{name} {spec.dtype}[{shape}]{values}"


def render_domain(domain: Domain) -> str:
    if isinstance(domain, FromData):
        return "data"
    if isinstance(domain, Choices):
        return "{" + ", ".join(map(_number, domain.values)) + "}"
    step = f" step {_number(domain.step)}" if domain.step is not None else ""
    return f"{_number(domain.low)}..{_number(domain.high)}{step}"


def _number(value: Number) -> str:
    text = repr(value)
    return text.removesuffix(".0")


def _quoted(name: str) -> str:
    plain = _WORD.match(name) and name not in _RESERVED
    return name if plain else json.dumps(name)


def _tensor(reader: _Reader) -> TensorSpec:
    name = reader.name("a tensor name")
    reader.expect(":")
    dtype = reader.name("a dtype")
    reader.expect("[")
    shape: list[int | str] = []
    while not reader.take("]"):
        if shape:
            reader.expect(",")
        size = reader.size()
        shape.append(size)
    values = _values(reader) if reader.take("in") else None
    return TensorSpec(name, dtype, tuple(shape), values)


def _dim(reader: _Reader) -> Dim:
    name = reader.name("a dimension name")
    reader.expect("=")
    return Dim(name, _domain(reader))


def _values(reader: _Reader) -> Domain:
    return FromData() if reader.take("data") else _domain(reader)


def _domain(reader: _Reader) -> Domain:
    if reader.take("{"):
        values = [reader.number()]
        while reader.take(","):
            values.append(reader.number())
        reader.expect("}")
        return Choices(tuple(values))
    low = reader.number()
    if not reader.take(".."):
        return Interval(low, low)
    high = reader.number()
    return Interval(low, high, reader.number() if reader.take("step") else None)


class _Reader:
    """The tokens of one line, read from left to right."""

    def __init__(self, line: str, number: int) -> None:
        self._line, self._number, self._at = line, number, 0
        self._tokens = [m for m in _TOKEN.finditer(line) if m.lastgroup != "space"]

    def peek(self, ahead: int = 0) -> str | None:
        at = self._at + ahead
        return self._tokens[at].group() if at < len(self._tokens) else None

    def take(self, text: str) -> bool:
        if self.peek() != text:
            return False
        self._at += 1
        return True

    def expect(self, text: str) -> None:
        if not self.take(text):
            self._fail(f"'{text}'")

    def end(self) -> None:
        if self._at < len(self._tokens):
            self._fail("the end of the line")

    def name(self, what: str) -> str:
        token = self._of("string", "name")
        if token is None:
            self._fail(what)
        return str(json.loads(token)) if token.startswith('"') else token

    def number(self) -> Number:
        token = self._of("number")
        if token is None:
            self._fail("a number")
        if token.endswith("inf"):
            return -inf if token.startswith("-") else inf
        return int(token) if token.lstrip("-").isdigit() else float(token)

    def size(self) -> int | str:
        token = self.peek()
        if token is not None and token.isdigit():
            self._at += 1
            return int(token)
        return self.name("a size or a dimension name")

    def _of(self, *kinds: str) -> str | None:
        if self._at >= len(self._tokens) or self._tokens[self._at].lastgroup not in kinds:
            return None
        self._at += 1
        return self._tokens[self._at - 1].group()

    def _fail(self, expected: str) -> NoReturn:
        came = self.peek()
        found = f"got '{came}'" if came is not None else "the line ends"
        raise InputError(
            f"signature line {self._number}: expected {expected}, {found}: {self._line}",
            "one line a tensor: x: float32[batch, 28, 28] in 0..1; then: where batch = 1..64",
        )
