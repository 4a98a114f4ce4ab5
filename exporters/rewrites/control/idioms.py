"""Loops that say in 64 steps what is one operation: recognised by their text, and replaced.

The delta rule of linear attention (Qwen3-Next, OLMo Hybrid, Kimi Linear, Bailing) inverts a
triangular matrix row by row. Unrolled, that is 63 times 8 operators a layer, and more than three
minutes to export two layers; as a triangular system it is one Loop.
"""

from __future__ import annotations

import ast

import torch
from torch import Tensor

SUBSTITUTED = "substituted"
"""The function below, among those of `runtime.py`."""

_SUBSTITUTION = """\
for i in range(1, n):
    row = a[..., i, :i].clone()
    sub = a[..., :i, :i].clone()
    a[..., i, :i] = row + (row.unsqueeze(-1) * sub).sum(-2)"""


def replace(function: ast.FunctionDef, runtime: str) -> bool:
    """Replace in place; False where there is none."""
    replacer = _Replacer(runtime)
    replacer.visit(function)
    return replacer.found


class _Replacer(ast.NodeTransformer):
    def __init__(self, runtime: str) -> None:
        self.runtime, self.found = runtime, False

    def visit_For(self, node: ast.For) -> ast.stmt:
        matrix = _matrix(node)
        if matrix is None:
            self.generic_visit(node)
            return node
        self.found = True
        text = f"{matrix} = {self.runtime}.{SUBSTITUTED}({matrix})"
        return ast.fix_missing_locations(ast.copy_location(ast.parse(text).body[0], node))


def _matrix(loop: ast.For) -> str | None:
    """The name of the matrix in a loop that is the substitution, in its own names."""
    if len(loop.body) != 3 or not isinstance(loop.body[2], ast.Assign):
        return None
    target = loop.body[2].targets[0]
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
        return None
    limit = loop.iter.args[-1] if isinstance(loop.iter, ast.Call) and loop.iter.args else None
    given = {"i": loop.target, "a": target.value, "n": limit}
    for n, part in zip(("row", "sub"), loop.body[:2], strict=True):
        given[n] = part.targets[0] if isinstance(part, ast.Assign) else None
    if not all(isinstance(part, ast.Name) for part in given.values()):
        return None
    called = {part.id: n for n, part in given.items() if isinstance(part, ast.Name)}
    text = ast.unparse(_Renamer(called).visit(ast.parse(ast.unparse(loop))))
    return target.value.id if text == _SUBSTITUTION else None


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)


def substituted(a: Tensor) -> Tensor:
    """(I - a)^-1 - I of a strictly lower triangle [..., n, n]: row i gains row i times those above.

    By substitution and not by powers of `a`, which cancel where keys are equal.
    """
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    found: Tensor = torch.linalg.solve_triangular(
        eye - a, eye.expand_as(a), upper=False, unitriangular=True
    )
    return found - eye
