"""A function's syntax with its branches and loops as calls of `runtime.py`.

    if x.sum() > 0:                 def way_1():
        y = x + 1                       nonlocal y
    else:                               y = x + 1
        y = x                       def way_2(): ...
                                    test = runtime.compared(">", x.sum(), 0)
                                    runtime.branch(test, way_1, way_2, ("y",))

What cannot stand in a closure (break, yield, super) is left as it is. Line numbers stay the user's.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Sequence

from exporters.rewrites.control import comprehensions, jumps, matches, names
from exporters.rewrites.control.names import Statements
from exporters.rewrites.control.variables import CLOSURE

RUNTIME = "__onnxport__"
"""The name under which a rewritten function finds `runtime.py` among its globals."""

_ITEM = f"{CLOSURE}item"

_COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_BUILTINS = {
    *("range", "len", "bool", "int", "float", "max", "min"),
    *("list", "tuple", "enumerate", "zip", "sum", "round", "divmod", "product", "pairwise"),
    *(name for name, value in vars(math).items() if callable(value)),
}
"""Functions of Python that want plain numbers and known lengths: `standing_in.py` stands in."""

_WITH_KEYWORDS = {"zip", "enumerate", "pad_sequence"}

_OF_TORCH = {
    "pad_sequence",
    "tensor",
    "as_tensor",
    "new_tensor",
    "Tensor",
    "LongTensor",
    "FloatTensor",
}
"""Those that it stands in for and torch must find unchanged: it asks for them by identity."""

_MODULES = {"math", "np", "numpy", "itertools"}
"""Whose functions want plain numbers too, or known lengths."""

_WHOLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Global, ast.Nonlocal)
"""Statements that hold no expression of the function's own."""

_PYTHON_TESTS = {"isinstance", "issubclass", "hasattr", "callable", "is_scripting", "is_tracing"}


def rewrite(function: ast.FunctionDef) -> bool:
    """Rewrite in place; False where there is nothing to rewrite."""
    if any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in names.walk(function.body)):
        return False
    matches.spread(function)
    jumps.removed(function)
    comprehensions.spread(function)
    rewriter = _Rewriter(function)
    function.body = rewriter.block(function.body, tail=True)
    local = sorted(rewriter.shared - rewriter.parameters)
    if local:  # a name is the function's own if it assigns it anywhere, reached or not
        targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in local]
        bind = ast.If(ast.Constant(False), [ast.Assign(targets, ast.Constant(None))], [])
        function.body.insert(0, ast.copy_location(bind, function.body[0]))
    ast.fix_missing_locations(function)
    return rewriter.changed


class _Rewriter:
    def __init__(self, function: ast.FunctionDef) -> None:
        a = function.args
        arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
        self.parameters = {argument.arg for argument in arguments if argument}
        walked = list(names.walk(function.body))
        elsewhere = {
            n for d in walked if isinstance(d, (ast.Global, ast.Nonlocal)) for n in d.names
        }
        self.own = names.assigned(function.body) | self.parameters
        self.own -= elsewhere
        self.function = function
        self.original = list(function.body)
        self.shared: set[str] = set()
        self.changed = False
        self._count = 0

    def block(self, body: Statements, *, tail: bool) -> Statements:
        """`tail`: the function ends where the block ends."""
        done: Statements = []
        for number, statement in enumerate(body):
            rest = body[number + 1 :]
            if isinstance(statement, ast.If) and names.can_move(statement):
                if _raises(statement):
                    statement.test = self.call("alarm", self.test(statement.test))
                    done.append(statement)
                    continue
                if names.has_return(statement):
                    moved = [statement, *rest]
                    open_ = not _is_pythons(statement.test) or _has_branches(statement)
                    if tail and open_ and all(names.can_move(s) for s in moved):
                        return [*done, *self.returning(statement, rest)]
                elif not _is_pythons(statement.test):
                    lists = self.lists_changed(statement) if tail else set()
                    returned = any(map(names.has_return, rest))
                    if lists and returned and all(map(names.can_move, rest)):
                        return [*done, *self.returning(statement, rest, lists)]
                    done += self.branch(statement)
                    continue
            elif isinstance(statement, (ast.For, ast.While)) and self.is_plain_loop(statement):
                done += self.loop(statement)
                continue
            done.append(self.inside(statement, tail=tail and not rest))
        return done

    def branch(self, statement: ast.If) -> Statements:
        shared = self.names_of([statement])
        read_later = shared & names.read_around(self.original, statement)
        first, one = self.closure(statement, statement.body, tail=False)
        second, other = self.closure(statement, statement.orelse, tail=False)
        test = self.test(statement.test)
        call = self.call("branch", test, one, other, _tuple(shared), _tuple(read_later))
        return [first, second, ast.copy_location(ast.Expr(call), statement)]

    def lists_changed(self, statement: ast.If) -> set[str]:
        """The function's own lists of which the branch assigns an item, by their names."""
        before = [s for s in self.original if s.lineno < statement.lineno]
        return names.changes_an_item(statement, names.own_lists(before) & self.own)

    def returning(
        self, statement: ast.If, rest: Statements, lists: Iterable[str] = ()
    ) -> Statements:
        """The branch and all that follows it, each way with its own return.

        `lists` may be changed by either way: nobody has them but what follows.
        """
        shared = self.names_of([statement, *rest])
        ways, before = [statement.body, statement.orelse], []
        if rest and not any(map(names.ends, ways)):
            after, name = self.closure(rest[0], rest, tail=True)
            before.append(after)
            leave = ast.copy_location(ast.Return(ast.Call(name, [], [])), rest[0])
            rest = [ast.fix_missing_locations(leave)]
        one, other = (w if names.ends(w) else [*w, *rest] for w in ways)
        first, one_name = self.closure(statement, one, tail=True)
        second, other_name = self.closure(statement, other, tail=True)
        test = self.test(statement.test)
        own: ast.expr = ast.Tuple([ast.Name(n, ast.Load()) for n in sorted(lists)], ast.Load())
        call = self.call("choose", test, one_name, other_name, _tuple(shared), own)
        return [*before, first, second, ast.copy_location(ast.Return(call), statement)]

    def is_plain_loop(self, statement: ast.For | ast.While) -> bool:
        if statement.orelse or names.has_return(statement) or not names.can_move(statement):
            return False
        return isinstance(statement, ast.For) or not _is_pythons(statement.test)

    def loop(self, statement: ast.For | ast.While) -> Statements:
        shared = self.names_of([statement])
        outside = names.read(names.without(self.original, statement))
        head = [] if isinstance(statement, ast.For) else [ast.Expr(statement.test)]
        carried = shared & (names.needed([*head, *statement.body]) | outside)
        if isinstance(statement, ast.While):
            body, name = self.closure(statement, statement.body, tail=False)
            test = _lambda(self.test(statement.test))
            turns = jumps.turns(statement)
            within = [_lambda(turns)] if turns else []
            call = self.call("during", test, name, _tuple(shared), _tuple(carried), *within)
        else:
            targets = names.assigned([statement.target])
            carried = shared & (names.needed(statement.body) - targets | outside)
            item = ast.Name(_ITEM, ast.Load())
            take = ast.copy_location(ast.Assign([statement.target], item), statement)
            body, name = self.closure(statement, statement.body, tail=False, take=take)
            iterable = self.expression(statement.iter)
            going = jumps.going(statement)
            left = [_lambda(going)] if going else []
            call = self.call("each", iterable, name, _tuple(shared), _tuple(carried), *left)
        return [body, ast.copy_location(ast.Expr(call), statement)]

    def closure(
        self, at: ast.stmt, body: Statements, *, tail: bool, take: ast.stmt | None = None
    ) -> tuple[ast.stmt, ast.expr]:
        """A function of the block that assigns the function's own names, and its name."""
        self._count += 1
        self.changed = True
        name = f"{CLOSURE}{self._count}"
        shared = self.names_of([*body, *([take] if take else [])])
        self.shared |= shared
        inner = [*([take] if take else []), *self.block(body, tail=tail)]
        start: Statements = [ast.Nonlocal(sorted(shared))] if shared else []
        parameters = [ast.arg(_ITEM)] if take else []
        made = ast.FunctionDef(
            name,
            ast.arguments([], parameters, None, [], [], None, []),
            [*start, *inner] or [ast.Pass()],
            [],
        )
        ast.copy_location(made, at)
        for s in (*start, *made.body):
            if not hasattr(s, "lineno"):
                ast.copy_location(s, at)
        return made, ast.copy_location(ast.Name(name, ast.Load()), at)

    def inside(self, statement: ast.stmt, *, tail: bool) -> ast.stmt:
        """A statement that stays: what stands in it is rewritten."""
        if isinstance(statement, _WHOLE):
            return statement
        for field, value in ast.iter_fields(statement):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                stays = tail and isinstance(statement, ast.If)
                setattr(statement, field, self.block(value, tail=stays))
            elif isinstance(value, list):
                setattr(statement, field, [self.part(v) for v in value])
            elif isinstance(value, ast.expr):
                whole = isinstance(statement, (ast.If, ast.While)) and field == "test"
                setattr(statement, field, value if whole else self.expression(value))
        if isinstance(statement, ast.Assert):
            statement.test = self.call("asserted", self.test(statement.test))
        return statement

    def part(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr):
            return self.expression(node)
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, field, self.block(value, tail=False))
            elif isinstance(value, ast.expr):
                setattr(node, field, self.expression(value))
        return node

    def expression(self, node: ast.expr) -> ast.expr:
        found: ast.expr = _Expressions(self).visit(node)
        return found

    def test(self, node: ast.expr) -> ast.expr:
        """A condition whose `and`, `or`, `not` and comparisons do not ask for a bool."""
        if any(isinstance(n, (ast.NamedExpr, ast.Yield, ast.Await)) for n in ast.walk(node)):
            return node
        match node:
            case ast.Call(ast.Name("bool"), [one], []) if "bool" not in self.own:
                return self.test(one)
        if isinstance(node, ast.BoolOp):
            *parts, last = map(self.test, node.values)
            kind = "both" if isinstance(node.op, ast.And) else "either"
            for part in reversed(parts):
                last = self.call(kind, _lambda(part), _lambda(last))
            return last
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self.call("negated", self.test(node.operand))
        if isinstance(node, ast.Compare) and _is_membership(node):
            item, within = (self.expression(n) for n in (node.left, node.comparators[0]))
            if isinstance(within, ast.Set):  # a size has no hash
                within = ast.copy_location(ast.Tuple(within.elts, ast.Load()), within)
            test = self.call("contained", item, within)
            return self.call("negated", test) if isinstance(node.ops[0], ast.NotIn) else test
        if isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops):
            symbols = [ast.Constant(_COMPARISONS[type(op)]) for op in node.ops]
            left, *terms = (self.expression(t) for t in (node.left, *node.comparators))
            if len(terms) == 1:
                return self.call("compared", symbols[0], left, terms[0])
            which = ast.Tuple(list(symbols), ast.Load())
            return self.call("chained", which, left, *map(_lambda, terms))
        return self.expression(node)

    def call(
        self, function: str, *arguments: ast.expr, keywords: Sequence[ast.keyword] = ()
    ) -> ast.expr:
        self.changed = True
        named = self.named(function)
        at = next((a for a in arguments if hasattr(a, "lineno")), None)
        made = ast.Call(named, list(arguments), list(keywords))
        return ast.copy_location(made, at) if at else made

    def named(self, name: str) -> ast.expr:
        return ast.Attribute(ast.Name(RUNTIME, ast.Load()), name, ast.Load())

    def names_of(self, statements: Statements) -> set[str]:
        return names.assigned(statements) & self.own


class _Expressions(ast.NodeTransformer):
    """`a if test else b`, and Python's functions of numbers, wherever they stand."""

    def __init__(self, rewriter: _Rewriter) -> None:
        self._rewriter = rewriter

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        if _is_pythons(node.test) or not names.can_move(node) or _walrus(node):
            self.generic_visit(node)
            return node
        test = self._rewriter.test(node.test)
        ways = (_lambda(self.visit(way)) for way in (node.body, node.orelse))
        return self._rewriter.call("choose", test, *ways, _tuple(()))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if not isinstance(node.ctx, ast.Load) or not any(map(_is_moving, parts)):
            return node
        index = ast.Subscript(self._rewriter.named("index_of"), node.slice, ast.Load())
        return self._rewriter.call("taken", node.value, index)

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        if len(node.elts) == 1 and isinstance(node.elts[0], ast.Starred):
            return self._rewriter.call("listed", node.elts[0].value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`[(height, width)] * batch`."""
        self.generic_visit(node)
        match node:
            case ast.BinOp(ast.List([ast.Tuple()]), ast.Mult(), times):
                return self._rewriter.call("repeated", node.left, times)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "bit_length":
            method = ast.Attribute(ast.Name("int", ast.Load()), "bit_length", ast.Load())
            made = self._rewriter.call("of_numbers", method, node.func.value)
            return ast.copy_location(made, node)
        if not self._has_stand_in(node) or not node.args:
            return node
        if len(node.args) == 1 and _is_transposed(node):
            assert isinstance(node.args[0], ast.Starred)
            return self._rewriter.call("columns", node.args[0].value)
        if any(isinstance(a, ast.Starred) for a in node.args):
            return node
        made = self._rewriter.call("of_numbers", node.func, *node.args, keywords=node.keywords)
        return ast.copy_location(made, node)

    def _has_stand_in(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value
            of_numbers = isinstance(owner, ast.Name) and owner.id in _MODULES
            return of_numbers or node.func.attr in _OF_TORCH
        named = node.func.id if isinstance(node.func, ast.Name) else ""
        if named in self._rewriter.own:
            return False
        if node.keywords:
            return named in _WITH_KEYWORDS
        return named in _BUILTINS or named in _WITH_KEYWORDS


def _is_transposed(node: ast.Call) -> bool:
    """`zip(*rows)`."""
    named = isinstance(node.func, ast.Name) and node.func.id == "zip"
    return named and isinstance(node.args[0], ast.Starred)


def _is_moving(part: ast.expr) -> bool:
    """A slice of which both ends are computed, as `t : t + 1`."""
    return isinstance(part, ast.Slice) and not any(
        end is None or isinstance(end, ast.Constant) for end in (part.lower, part.upper)
    )


def _is_pythons(test: ast.expr) -> bool:
    """A condition that no tensor and no size can be: it is left to Python."""
    if isinstance(test, ast.Constant):
        return True
    if isinstance(test, ast.BoolOp):
        return all(map(_is_pythons, test.values))
    if isinstance(test, ast.UnaryOp):
        return _is_pythons(test.operand)
    if isinstance(test, ast.Compare) and not _is_membership(test):
        return all(isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for op in test.ops) or (
            any(isinstance(t, ast.Constant) and isinstance(t.value, str) for t in test.comparators)
        )
    if isinstance(test, ast.Attribute):
        return test.attr == "training"
    if isinstance(test, ast.Call):
        named = test.func
        called = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
        return called in _PYTHON_TESTS
    return False


def _is_membership(test: ast.Compare) -> bool:
    """`n in (1, 3)`, `3 not in {height, width}`: of what stands there, and no text."""
    within = test.comparators[0]
    if len(test.ops) > 1 or not isinstance(test.ops[0], (ast.In, ast.NotIn)):
        return False
    return isinstance(within, (ast.Tuple, ast.List, ast.Set)) and not any(
        isinstance(one, ast.Constant) and isinstance(one.value, str) for one in within.elts
    )


def _raises(statement: ast.If) -> bool:
    return not statement.orelse and isinstance(statement.body[-1], ast.Raise)


def _has_branches(statement: ast.If) -> bool:
    """In its ways."""
    below = names.walk([*statement.body, *statement.orelse])
    return any(isinstance(n, (ast.If, ast.While, ast.For)) for n in below)


def _walrus(node: ast.AST) -> bool:
    return any(isinstance(n, ast.NamedExpr) for n in ast.walk(node))


def _lambda(body: ast.expr) -> ast.expr:
    made = ast.Lambda(ast.arguments([], [], None, [], [], None, []), body)
    return ast.copy_location(made, body)


def _tuple(found: Sequence[str] | set[str]) -> ast.expr:
    return ast.Tuple([ast.Constant(n) for n in sorted(found)], ast.Load())
