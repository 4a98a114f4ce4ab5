"""`[f(t) for t in steps]` as the loop that it is, so that it can be a Loop of ONNX. Pure syntax.

    return torch.stack([cell(x[:, t]) for t in range(n)])        made = []
                                                                 for t in range(n):
                                                                     made.append(cell(x[:, t]))
                                                                 return torch.stack(made)

A comprehension of one `for` and no `if`, where its statement surely comes to it; what a generator
gives to a function that takes all of it at once; and `[t] * n`, which is `[t for _ in range(n)]`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from exporters.rewrites.control import names
from exporters.rewrites.control.names import Statements

_NAMED = "_comprehended_"
"""How the names of the lists begin, and those of what they are made of, which are no one else's."""

_TAKE_ALL = {"list", "tuple", "sum"}
_TAKE_ALL_METHODS = {"stack", "cat", "concat", "concatenate", "hstack", "vstack"}

_MAYBE = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.Compare, ast.ListComp, ast.SetComp, ast.DictComp)
"""Expressions of which a part may not be evaluated, or more than once."""


def spread(function: ast.FunctionDef) -> None:
    """Rewrite in place."""
    function.body = _Spreading().block(function.body)


class _Spreading(names.Blocks):
    def replaced(self, statement: ast.stmt) -> Statements:
        made = _Made(self)
        if isinstance(statement, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr)):
            if statement.value is not None:
                statement.value = made.visit(statement.value)
        elif isinstance(statement, ast.For):
            statement.iter = made.visit(statement.iter)
        return [*made.before, statement]

    def fresh(self, name: str = "") -> str:
        self.count += 1
        return f"{_NAMED}{self.count}{name}"


class _Made(ast.NodeTransformer):
    """`before`: the statements that make the lists of one statement."""

    def __init__(self, spreading: _Spreading) -> None:
        self._spreading = spreading
        self.before: Statements = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.ListComp) and _is_plain(node):
            return self._looped(node)
        if isinstance(node, ast.BinOp) and _is_repeated(node):
            return self._looped(self._comprehended(node))
        if isinstance(node, (*_MAYBE, ast.GeneratorExp)):
            return node
        if isinstance(node, ast.Call) and _takes_all(node) and _is_plain(node.args[0]):
            node.args[0] = self._looped(node.args[0])
            return node
        return self.generic_visit(node)

    def _comprehended(self, node: ast.BinOp) -> ast.ListComp:
        assert isinstance(node.left, ast.List)
        (element,) = node.left.elts
        once = ast.Name(self._spreading.fresh(), ast.Store())
        self._before(ast.Assign([once], self.visit(element)), node)
        every = ast.Call(ast.Name("range", ast.Load()), [node.right], [])
        steps = ast.comprehension(ast.Name("_", ast.Store()), every, [], 0)
        return ast.copy_location(ast.ListComp(ast.Name(once.id, ast.Load()), [steps]), node)

    def _looped(self, node: ast.expr) -> ast.expr:
        assert isinstance(node, (ast.ListComp, ast.GeneratorExp))
        (generator,) = node.generators
        iterable: ast.expr = self.visit(generator.iter)
        called = {n: self._spreading.fresh(f"_{n}") for n in names.assigned([generator.target])}
        renamer = _Renamed(called)
        target, element = renamer.visit(generator.target), renamer.visit(node.elt)
        name = self._spreading.fresh()
        append = ast.Attribute(ast.Name(name, ast.Load()), "append", ast.Load())
        body: Statements = [ast.Expr(ast.Call(append, [element], []))]
        loop = ast.For(target, iterable, _Spreading.block(self._spreading, body), [])
        self._before(ast.Assign([ast.Name(name, ast.Store())], ast.List([], ast.Load())), node)
        self._before(loop, node)
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def _before(self, statement: ast.stmt, node: ast.expr) -> None:
        self.before.append(ast.fix_missing_locations(ast.copy_location(statement, node)))


class _Renamed(ast.NodeTransformer):
    def __init__(self, called: dict[str, str]) -> None:
        self._called = called

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self._called.get(node.id, node.id), node.ctx), node)


def _takes_all(node: ast.Call) -> bool:
    """Does the function read all of the generator that it is given, and keep none of it?"""
    if not node.args or not isinstance(node.args[0], ast.GeneratorExp):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in _TAKE_ALL
    return isinstance(node.func, ast.Attribute) and node.func.attr in _TAKE_ALL_METHODS


def _is_repeated(node: ast.BinOp) -> bool:
    """`[t] * n`: of numbers it is a list that is soon done, and no business of a loop."""
    if not isinstance(node.op, ast.Mult) or not isinstance(node.left, ast.List):
        return False
    return len(node.left.elts) == 1 and isinstance(node.left.elts[0], (ast.Name, ast.Call))


def _is_plain(node: ast.expr) -> bool:
    if not isinstance(node, (ast.ListComp, ast.GeneratorExp)) or len(node.generators) != 1:
        return False
    (generator,) = node.generators
    if generator.ifs or generator.is_async or not names.can_move(node):
        return False
    bound = set(names.assigned([generator.target]))
    return not any(
        isinstance(n, ast.NamedExpr) or bound & {*_bound_by(n)} for n in ast.walk(node.elt)
    )


def _bound_by(node: ast.AST) -> Iterator[str]:
    """Names that an expression has of its own: they hide those of the same name around it."""
    if isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.comprehension):
        yield from names.assigned([node.target])
