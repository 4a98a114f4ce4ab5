"""Arithmetic on sizes: the numbers that Python gives, in expressions that stay short."""

import pytest
import sympy
from torch.fx.experimental import sym_node
from torch.nn import Identity
from torch.utils._sympy.functions import FloorDiv, Mod, PythonMod

from exporters.rewrites.quotients import FAMILY, common, divided, multiple

H, W = (sympy.Symbol(name, integer=True, positive=True) for name in "hw")
QUARTER = FloorDiv(H - 1, 4)


@pytest.mark.parametrize("size", [H, QUARTER + 1, 2 * W + H])
def test_a_padded_size_is_the_next_multiple(size: sympy.Expr) -> None:
    for lacking in (Mod(7 - Mod(size, 7), 7), PythonMod(-size, 7)):
        found = multiple(size, lacking)
        assert found == 7 * FloorDiv(size + 6, 7)
        for h in range(1, 40):
            at = {H: sympy.Integer(h), W: sympy.Integer(3)}
            assert found.xreplace(at) == (size + lacking).xreplace(at)


OTHERS = [Mod(H, 7), Mod(7 - Mod(H, 5), 7), Mod(6 - Mod(H, 7), 7), PythonMod(-W, 7), H]


def test_an_odd_size_and_one_is_even() -> None:
    assert multiple(QUARTER, Mod(QUARTER, 2)) == 2 * FloorDiv(QUARTER + 1, 2)


@pytest.mark.parametrize("more", OTHERS)
def test_other_sums_are_left_alone(more: sympy.Expr) -> None:
    assert multiple(H, more) is None


def test_a_fraction_in_lowest_terms() -> None:
    whole = QUARTER + 1
    assert divided(sympy.expand(8 * QUARTER + 8) / whole) == 8
    assert divided((H * whole + W * whole) / whole) == H + W
    assert divided(H / 2 + W) == H / 2 + W


def test_a_common_factor_of_long_sums() -> None:
    a, b = QUARTER, FloorDiv(W - 1, 4)
    product = sympy.expand((a + 1) * (b + 1))
    assert sympy.expand(common(sympy.expand(H * product), product)) == product


def test_torch_adds_by_itself_again() -> None:
    own = sym_node._optimized_add
    with FAMILY.tracing(Identity()):
        assert sym_node._optimized_add(H, PythonMod(-H, 7)) == (False, 7 * FloorDiv(H + 6, 7))
    assert sym_node._optimized_add is own
