"""Loops that are left early, without `break` and `continue`, so that they can be Loops of ONNX.

    for step in range(50):                      going, turn = True, 0
        new = torch.tanh(self.cell(z) + x)      while going and turn < 50:
        if (new - z).norm() < 1e-4:                 step, turn = turn, turn + 1
            break                                   new = torch.tanh(self.cell(z) + x)
        z = new                                     if (new - z).norm() < 1e-4:
                                                        going = False
                                                    else:
                                                        z = new

Over other things than a range (rows, or layers, of which any may be the last) each step asks
whether it is still going. Pure syntax.
"""

from __future__ import annotations

import ast

from exporters.rewrites.control import names
from exporters.rewrites.control.names import Statements

_NAMED = "_left_early_"
_LOOPS = (ast.For, ast.While)


def removed(function: ast.FunctionDef) -> None:
    """Rewrite in place."""
    function.body = _Removing(function.body).block(function.body)


def turns(loop: ast.While) -> ast.expr | None:
    """Of a loop that was made of one over a range: the number of the next step, and their end."""
    match loop.test:
        case ast.BoolOp(ast.And(), [_, ast.Compare(ast.Name(turn), [ast.Lt()], [ast.Name(end)])]):
            if turn.startswith(_NAMED):
                return ast.Tuple([_name(turn), _name(end)], ast.Load())
    return None


def going(loop: ast.For) -> ast.expr | None:
    """Of a loop over other things: whether it goes on."""
    match loop.body:
        case [ast.If(ast.Name(name), _, [])] if name.startswith(_NAMED):
            return _name(name)
    return None


class _Unmoved(Exception):
    """A jump out of more than an `if`."""


class _Removing(names.Blocks):
    def __init__(self, function: Statements) -> None:
        super().__init__()
        self._function = function

    def replaced(self, statement: ast.stmt) -> Statements:
        return self.loop(statement) if _is_left_early(statement) else [statement]

    def loop(self, statement: ast.stmt) -> Statements:
        assert isinstance(statement, (ast.For, ast.While))
        self.count += 1
        going, turn, end = (f"{_NAMED}{what}_{self.count}" for what in ("going", "turn", "end"))
        try:
            body = _without_jumps(statement.body, going)
        except _Unmoved:
            return [statement]
        start: Statements = [names.assign(going, ast.Constant(True))]
        made: ast.stmt
        if isinstance(statement, ast.While):
            made = _while(going, statement.test, body)
        elif (limits := _limits(statement.iter)) is not None:
            first, last = limits
            start += [names.assign(turn, first), names.assign(end, last)]
            take = ast.Assign([statement.target], _name(turn))
            onwards = names.assign(turn, ast.BinOp(_name(turn), ast.Add(), ast.Constant(1)))
            within = ast.Compare(_name(turn), [ast.Lt()], [_name(end)])
            made = _while(going, within, [take, onwards, *body])
        else:
            target: ast.expr = statement.target
            outside = names.read(names.without(self._function, statement))
            if names.assigned(names.walk([target])) & outside:  # it is then the last that was taken
                target = ast.Name(f"{_NAMED}item_{self.count}", ast.Store())
                item = ast.Name(target.id, ast.Load())
                body = [ast.copy_location(ast.Assign([statement.target], item), statement), *body]
            made = ast.For(target, statement.iter, [ast.If(_name(going), body, [])], [])
        for new in (*start, made):
            ast.copy_location(new, statement)
        return [*start, made]


def _is_left_early(statement: ast.stmt) -> bool:
    if not isinstance(statement, (ast.For, ast.While)) or statement.orelse:
        return False
    return any(map(_jumps, statement.body)) and not any(map(names.has_return, statement.body))


def _jumps(statement: ast.stmt) -> bool:
    """Out of the loop that it stands in, or on to its next step."""
    within = () if isinstance(statement, _LOOPS) else names.walk([statement], stop=_LOOPS)
    return any(isinstance(n, (ast.Break, ast.Continue)) for n in within)


def _without_jumps(body: Statements, going: str) -> Statements:
    """The block, where what comes after a jump is in the other way of its `if`."""
    done: Statements = []
    for number, statement in enumerate(body):
        rest = body[number + 1 :]
        if isinstance(statement, ast.Continue):
            return done or [ast.copy_location(ast.Pass(), statement)]
        if isinstance(statement, ast.Break):
            return [*done, ast.copy_location(names.assign(going, ast.Constant(False)), statement)]
        if not _jumps(statement):
            done.append(statement)
            continue
        if not isinstance(statement, ast.If):
            raise _Unmoved
        ways = [statement.body, statement.orelse]
        if rest and not any(map(_surely_jumps, ways)):
            raise _Unmoved
        one, other = (
            _without_jumps(way if _surely_jumps(way) else [*way, *rest], going) for way in ways
        )
        pass_ = ast.copy_location(ast.Pass(), statement)
        new = ast.If(statement.test, one or [pass_], other)
        return [*done, ast.copy_location(new, statement)]
    return done


def _surely_jumps(body: Statements) -> bool:
    last = body[-1] if body else None
    if isinstance(last, ast.If):
        return _surely_jumps(last.body) and _surely_jumps(last.orelse)
    return isinstance(last, (ast.Break, ast.Continue))


def _limits(of: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """Start and end of a range in steps of one."""
    if not (isinstance(of, ast.Call) and isinstance(of.func, ast.Name) and of.func.id == "range"):
        return None
    if of.keywords or any(isinstance(a, ast.Starred) for a in of.args) or len(of.args) > 2:
        return None
    first = of.args[0] if len(of.args) == 2 else ast.Constant(0)
    return first, of.args[-1]


def _while(going: str, test: ast.expr, body: Statements) -> ast.While:
    return ast.While(ast.BoolOp(ast.And(), [_name(going), test]), body, [])


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())
