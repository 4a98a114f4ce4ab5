"""`match` as the branches that it is, so that sizes can decide them. Pure syntax.

    match x.shape:                              matched = x.shape
        case (1, _, _):                         if is_sequence(matched) and len(matched) == 3
            return x * 2                                and matched[0] == 1:
        case (_, n, _) if n > 3:                    return x * 2
            return x[:, :n]                     elif ... and matched[1] > 3:
                                                    n = matched[1]
                                                    return x[:, :n]

Of numbers, names and sequences of them; what has other patterns is left to Python.
"""

from __future__ import annotations

import ast

from exporters.rewrites.control import names
from exporters.rewrites.control.names import Statements

_NAMED = "_matched_"
Bound = dict[str, ast.expr]


def spread(function: ast.FunctionDef) -> None:
    """Rewrite in place."""
    function.body = _Spreading().block(function.body)


class _Unlike(Exception):
    """A pattern of another kind."""


class _Spreading(names.Blocks):
    def replaced(self, statement: ast.stmt) -> Statements:
        return self.match(statement) if isinstance(statement, ast.Match) else [statement]

    def match(self, statement: ast.Match) -> Statements:
        self.count += 1
        subject: ast.expr = ast.Name(f"{_NAMED}{self.count}", ast.Load())
        try:
            cases = [(_pattern(case.pattern, subject), case) for case in statement.cases]
        except _Unlike:
            return [statement]
        rest: Statements = []
        for (tests, bound), case in reversed(cases):
            guard = [_Written(bound).visit(case.guard)] if case.guard else []
            given: Statements = [names.assign(name, value) for name, value in bound.items()]
            taken = [*given, *case.body]
            rest = [ast.If(_all([*tests, *guard]), taken, rest)] if tests or guard else taken
        start = names.assign(f"{_NAMED}{self.count}", statement.subject)
        return [ast.copy_location(new, statement) for new in (start, *rest)]


def _pattern(pattern: ast.pattern, at: ast.expr) -> tuple[list[ast.expr], Bound]:
    """What is asked of the subject, or the part of it that is `at`, and the names that it binds."""
    if isinstance(pattern, ast.MatchValue) and not isinstance(_constant(pattern.value), str):
        return [ast.Compare(at, [ast.Eq()], [pattern.value])], {}
    if isinstance(pattern, ast.MatchSingleton):
        return [ast.Compare(at, [ast.Is()], [ast.Constant(pattern.value)])], {}
    if isinstance(pattern, ast.MatchAs):
        tests, bound = _pattern(pattern.pattern, at) if pattern.pattern else ([], {})
        return tests, bound | ({pattern.name: at} if pattern.name else {})
    if isinstance(pattern, ast.MatchOr):
        ways = [_pattern(one, at) for one in pattern.patterns]
        if any(bound or not tests for tests, bound in ways):
            raise _Unlike
        return [ast.BoolOp(ast.Or(), [_all(tests) for tests, _ in ways])], {}
    if not isinstance(pattern, ast.MatchSequence):
        raise _Unlike
    kinds = ast.Tuple([ast.Name("tuple", ast.Load()), ast.Name("list", ast.Load())], ast.Load())
    length = ast.Call(ast.Name("len", ast.Load()), [at], [])
    asked: list[ast.expr] = [
        ast.Call(ast.Name("isinstance", ast.Load()), [at, kinds], []),
        ast.Compare(length, [ast.Eq()], [ast.Constant(len(pattern.patterns))]),
    ]
    known: Bound = {}
    for number, one in enumerate(pattern.patterns):
        tests, bound = _pattern(one, ast.Subscript(at, ast.Constant(number), ast.Load()))
        asked, known = asked + tests, known | bound
    return asked, known


class _Written(ast.NodeTransformer):
    """A guard with what names stand for: they are bound after it."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._bound.get(node.id, node)


def _constant(value: ast.expr) -> object:
    return value.value if isinstance(value, ast.Constant) else None


def _all(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
