"""Which names a block of statements assigns, reads, and needs from before. Pure syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LOOPS = (ast.For, ast.While)
Statements = list[ast.stmt]


class Blocks:
    """Goes through the blocks of a function, inner ones first, and puts statements in place of one.

    `replaced` says which; functions and classes within have none of the function's own.
    """

    def __init__(self) -> None:
        self.count = 0

    def block(self, body: Statements) -> Statements:
        done: Statements = []
        for statement in body:
            if not isinstance(statement, SCOPES):
                for part in (statement, *getattr(statement, "cases", ())):
                    for field, value in ast.iter_fields(part):
                        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                            setattr(part, field, self.block(value))
            done += self.replaced(statement)
        return done

    def replaced(self, statement: ast.stmt) -> Statements:
        """What takes the place of a statement whose blocks are done: each kind has its own."""
        raise NotImplementedError


def assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def walk(nodes: Iterable[ast.AST], *, stop: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """All nodes below, but not inside functions and classes, nor inside those of type `stop`."""
    for node in nodes:
        yield node
        if not isinstance(node, (*SCOPES, *stop)):
            yield from walk(ast.iter_child_nodes(node), stop=stop)


def assigned(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that the nodes bind or delete in the scope that they stand in."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        if isinstance(node, _COMPREHENSIONS):
            walrus = (n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            found |= {n.id for n in walrus if isinstance(n, ast.Name)}
        elif not isinstance(node, SCOPES):
            found |= assigned(ast.iter_child_nodes(node))
    return found


def read(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that are read anywhere below, in functions and comprehensions too."""
    return {
        n.id
        for node in nodes
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    } | {
        n.target.id
        for node in nodes
        for n in ast.walk(node)
        if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    }


def needed(body: Statements) -> set[str]:
    """Names that a run of the block may read before it has assigned them."""
    found: set[str] = set()
    known: set[str] = set()
    for statement in body:
        found |= read([statement]) - known
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            known |= assigned(targets)
        else:  # it may leave old values in place
            found |= assigned([statement]) - known
    return found


def read_around(body: Statements, branch: ast.If) -> set[str]:
    """Names that the function reads outside the branch, or in it once a loop has come round."""
    found = read(without(body, branch))
    loops = (n for n in walk(body) if isinstance(n, _LOOPS))
    if any(n is branch for loop in loops for n in walk([loop])):
        found |= read([branch.test]) | needed(branch.body) | needed(branch.orelse)
    return found


def ends(body: Statements) -> bool:
    """Does the block always return or raise?"""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return ends(last.body) and ends(last.orelse)
    return isinstance(last, (ast.Return, ast.Raise))


def has_return(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Return) for n in walk([node]))


def can_move(node: ast.AST) -> bool:
    """May the statement stand in a closure? Not where it leaves a loop around it, or is a
    generator's, or uses what only the function itself has."""
    for n in walk([node]):
        if isinstance(n, (ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal)):
            return False
        if isinstance(n, ast.Name) and n.id in ("super", "__class__", "locals", "eval", "exec"):
            return False
    below = ast.iter_child_nodes(node) if isinstance(node, _LOOPS) else [node]
    leaves = walk(below, stop=_LOOPS)
    return not any(isinstance(n, (ast.Break, ast.Continue)) for n in leaves)


def own_lists(before: Statements) -> set[str]:
    """Names that the statements bind to a list made there, which nobody else can hold."""
    found: set[str] = set()
    for statement in before:
        bound = assigned([statement])
        fresh = isinstance(statement, ast.Assign) and _is_new_list(statement.value)
        found = found | bound if fresh else found - bound - _held(statement)
    return found


def changes_an_item(branch: ast.If, names: set[str]) -> set[str]:
    """Which of these names the branch assigns an item of."""
    targets = (n for n in walk([branch]) if isinstance(n, ast.Subscript))
    return {
        n.value.id
        for n in targets
        if isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name) and n.value.id in names
    }


def _is_new_list(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and not value.keywords:
        function = value.func
        copied = isinstance(function, ast.Attribute) and function.attr == "copy" and not value.args
        return copied or (isinstance(function, ast.Name) and function.id == "list")
    return isinstance(value, (ast.List, ast.ListComp))


def _held(statement: ast.stmt) -> set[str]:
    """Names that a statement reads as a whole: another name or object may have them from there."""
    items = {id(n.value) for n in walk([statement]) if isinstance(n, ast.Subscript)}
    return {n.id for n in walk([statement]) if isinstance(n, ast.Name) and id(n) not in items}


def without(body: Statements, statement: ast.stmt) -> list[ast.AST]:
    """All nodes of the function that do not stand in the statement."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(ast.Module(body, [])):
        found += _outside(node, statement)
    return found


def _outside(node: ast.AST, statement: ast.stmt) -> list[ast.AST]:
    if node is statement:
        return []
    if not any(n is statement for n in ast.walk(node)):
        return [node]
    return [n for child in ast.iter_child_nodes(node) for n in _outside(child, statement)]
