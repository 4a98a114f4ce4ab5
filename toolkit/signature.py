"""The contract of a model: which tensors it accepts, and what it returns.

Everything else derives from a `Signature`: example inputs, dynamic shapes, the cases of the parity
check, validation at inference, the metadata in the file. `toolkit.grammar` holds its text form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from toolkit.domain import Choices, Domain, FromData, Interval, Number, admits
from toolkit.dtypes import DTYPES, numpy_dtype
from toolkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Dim:
    """A named dimension and the sizes that it may take."""

    name: str
    sizes: Domain

    def __post_init__(self) -> None:
        some: tuple[Number, ...]
        if isinstance(self.sizes, Choices):
            some = self.sizes.values
        elif isinstance(self.sizes, FromData):
            some = (self.sizes.low,)
        else:
            some = (self.sizes.low, self.sizes.high, self.sizes.step or 1)
        if any(not isinstance(n, int) or n < 0 for n in some):
            from toolkit.grammar import render_domain

            raise InputError(
                f"dimension '{self.name}' has sizes {render_domain(self.sizes)}",
                "sizes are whole numbers with both ends given: batch = 1..64",
            )

    @property
    def low(self) -> int:
        return int(self.sizes.low)

    @property
    def high(self) -> int:
        return int(self.sizes.high)

    @property
    def step(self) -> int:
        return int(getattr(self.sizes, "step", None) or 1)

    @cached_property
    def legal(self) -> tuple[int, ...] | range:
        """Every size allowed, ascending."""
        if isinstance(self.sizes, Choices):
            return tuple(sorted(int(v) for v in self.sizes.values))
        return range(self.low, self.high + 1, self.step)

    def snap(self, size: int) -> int:
        """The legal size nearest to `size` (the smaller of two equally near)."""
        if isinstance(self.legal, tuple):
            return min(self.legal, key=lambda n: (abs(n - size), n))
        clipped = min(max(size, self.low), self.legal[-1])
        below = clipped - (clipped - self.low) % self.step
        above = min(below + self.step, self.legal[-1])
        return below if clipped - below <= above - clipped else above


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: name, dtype, shape of sizes and dimension names, and the values it may hold.

    `values` is None where any number of the dtype is allowed, and FromData where no range can say
    which are.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    values: Domain | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(
                f"'{self.name}' has unknown dtype '{self.dtype}'",
                "one of " + ", ".join(DTYPES),
            )

    @property
    def is_float(self) -> bool:
        return DTYPES[self.dtype].kind == "f"

    def shape_for(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with each dimension name replaced by its size."""
        return tuple(sizes[n] if isinstance(n, str) else n for n in self.shape)


@dataclass(frozen=True)
class Signature:
    """What a model accepts (`inputs`, with the range of each dimension) and returns (`outputs`).

    `outputs` may be empty: what a model returns is observed when it is loaded. An output may use
    dimension names that no input has (a number of frames that follows from a length); those have
    no range.
    """

    inputs: tuple[TensorSpec, ...]
    dims: tuple[Dim, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    valid: tuple[tuple[str, str], ...] = ()
    """(output, mask): only where that input is not 0 do positions of the output mean something."""
    kinds: tuple[tuple[str, str], ...] = ()
    """(output, kind): what it is, of `toolkit.parity.kinds.KINDS`, where its name does not tell."""
    carried: tuple[tuple[str, str], ...] = ()
    """(output, input): the state that the output hands to that input of the next run."""

    def __post_init__(self) -> None:
        names = [s.name for s in (*self.inputs, *self.outputs)]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise InputError(f"'{twice[0]}' is declared twice", "tensor names are unique")
        used = {n for s in self.inputs for n in s.shape if isinstance(n, str)}
        declared = [d.name for d in self.dims]
        if missing := sorted(used - set(declared)):
            raise InputError(
                f"dimension '{missing[0]}' has no range", f"add: where {missing[0]} = 1..64"
            )
        if unused := sorted(set(declared) - used):
            raise InputError(f"no input has a dimension '{unused[0]}'", "is it a misspelling?")
        if len(set(declared)) < len(declared):
            raise InputError("a dimension has two ranges", "give each dimension one range")
        inputs = {s.name for s in self.inputs}
        for said, pairs in (("is valid where", self.valid), ("feeds", self.carried)):
            for output, name in pairs:
                if name not in inputs:
                    raise InputError(
                        f"'{output}' {said} '{name}', which is no input",
                        "name one of: " + ", ".join(s.name for s in self.inputs),
                    )
        for what, pairs in (
            ("is valid where two masks say", self.valid),
            ("is of two kinds", self.kinds),
            ("feeds two inputs", self.carried),
        ):
            if len({output for output, _ in pairs}) < len(pairs):
                raise InputError(f"an output {what}", "say one of them")

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Read the text form, one line (or `;`) a tensor. Raises InputError with line and cause."""
        from toolkit.grammar import parse

        return parse(text)

    def __str__(self) -> str:
        from toolkit.grammar import render

        return render(self)

    def dim(self, name: str) -> Dim:
        return next(d for d in self.dims if d.name == name)

    def with_outputs(self, outputs: tuple[TensorSpec, ...]) -> Signature:
        return replace(self, outputs=outputs)

    @property
    def from_data(self) -> tuple[str, ...]:
        """The inputs whose values no range describes: feeds then come from examples only."""
        return tuple(s.name for s in self.inputs if isinstance(s.values, FromData))

    @property
    def batch(self) -> str | None:
        """The dimension that leads every input (but scalars) and stands nowhere else, if any."""
        leading = {s.shape[0] for s in self.inputs if s.shape}
        elsewhere = {n for s in self.inputs for n in s.shape[1:]}
        only = next(iter(leading - elsewhere), None) if len(leading) == 1 else None
        return only if isinstance(only, str) else None

    def validate(self, feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Check a feed and return the size of each dimension.

        Raises InputError that names the tensor, what came and what was expected.
        """
        known = {s.name for s in self.inputs}
        if unknown := sorted(set(feeds) - known):
            raise InputError(
                f"there is no input '{unknown[0]}'", "inputs are: " + ", ".join(sorted(known))
            )
        sizes: dict[str, int] = {}
        for spec in self.inputs:
            if spec.name not in feeds:
                raise InputError(f"input '{spec.name}' is missing", f"it is {_line(spec)}")
            _check_dtype(spec, feeds[spec.name])
            self._check_shape(spec, feeds[spec.name].shape, sizes)
            _check_values(spec, feeds[spec.name])
        return sizes

    def _check_shape(self, spec: TensorSpec, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
        came = f"input '{spec.name}' has shape {_shape(shape)}, expected {_shape(spec.shape)}"
        if len(shape) != len(spec.shape):
            hint = f"it has {len(shape)} dimensions, the signature {len(spec.shape)}"
            raise InputError(came, _transposition(shape, spec.shape) or hint)
        for axis, (size, expected) in enumerate(zip(shape, spec.shape, strict=True)):
            if isinstance(expected, int):
                if size != expected:
                    hint = f"axis {axis} must be {expected}"
                    raise InputError(came, _transposition(shape, spec.shape) or hint)
            elif sizes.setdefault(expected, size) != size:
                raise InputError(came, f"'{expected}' is {sizes[expected]} in another axis")
            elif size not in self.dim(expected).sizes:
                from toolkit.grammar import render_domain

                raise InputError(
                    f"input '{spec.name}' has {expected} = {size}, "
                    f"expected {render_domain(self.dim(expected).sizes)}",
                    "split the data, or declare and prove a wider range",
                )


def _line(spec: TensorSpec) -> str:
    from toolkit.grammar import render_tensor

    return render_tensor(spec)


def _shape(shape: tuple[int | str, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _transposition(shape: tuple[int, ...], expected: tuple[int | str, ...]) -> str:
    """Say it where the array is the expected image with channels last, batched or not."""
    fixed = [n for n in expected if isinstance(n, int)]
    last = shape[-1:] and shape[-1] in fixed and len(shape) in (3, 4)
    if not last or len(expected) != 4 or expected[1] != shape[-1]:
        return ""
    moved = "x.transpose(2, 0, 1)[None]" if len(shape) == 3 else "x.transpose(0, 3, 1, 2)"
    return f"the signature has channels second; transpose with {moved}"


def _check_dtype(spec: TensorSpec, array: np.ndarray) -> None:
    expected = numpy_dtype(spec.dtype)
    if array.dtype != expected:
        raise InputError(
            f"input '{spec.name}' is {array.dtype}, expected {spec.dtype}",
            f"convert with x.astype('{spec.dtype}')",
        )


def _check_values(spec: TensorSpec, array: np.ndarray) -> None:
    if spec.values is None or isinstance(spec.values, FromData) or not array.size:
        return
    import numpy as np

    if isinstance(spec.values, Interval) and spec.values.step is None:
        array = np.array([array.min(), array.max()])  # NaN, where there is one, is both
    outside = array[~admits(spec.values, array, spec.dtype)]
    if outside.size:
        from toolkit.grammar import render_domain

        raise InputError(
            f"input '{spec.name}' holds {outside.flat[0].item()!r}, "
            f"expected {render_domain(spec.values)}",
            "scale or clip the data as it was for training",
        )
