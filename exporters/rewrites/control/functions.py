"""Which functions of a model are the user's, and their code rewritten while it is traced."""

from __future__ import annotations

import ast
import linecache
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dis import get_instructions
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn

from exporters.rewrites.control import idioms, runtime, syntax
from exporters.rewrites.control.caches import BySize, is_by_size
from exporters.rewrites.control.known import tensors_of
from toolkit.whose import is_models, package

_EXPORTABLE = ("transformers",)
"""Packages whose models are written to be exported as they are, but for loops over a length (the
recurrences of Mamba, RWKV and linear attention)."""

_CONVERSIONS = ("torch_int", "torch_float")
"""transformers' own int and float, of which some 60 of its models make sizes: they would fix them
(the position embeddings of DEIMv2)."""

_CACHED: type = type(lru_cache(str))


class _Rewriting:
    """What is rewritten while a model is traced, and what could be if it turns out to need it."""

    def __init__(self, model: nn.Module, stack: ExitStack) -> None:
        self._stack = stack
        self._spared: dict[tuple[str, int, str], FunctionType] = {}
        for function in list(functions(model)):
            code = function.__code__
            if _is_exportable(code) and not _loops(code):
                self._spared[_place(code)] = function
            else:
                self._rewrite(function)

    def relent(self, codes: Iterable[CodeType]) -> bool:
        innermost = next(filter(_is_exportable, codes), None)
        spared = self._spared.pop(_place(innermost), None) if innermost else None
        return spared is not None and self._rewrite(spared)

    def _rewrite(self, function: FunctionType) -> bool:
        _uncache(function, self._stack)
        code = _rewritten(function)
        if code:
            self._stack.enter_context(_swapped(function, code))
        return bool(code)


_active: list[_Rewriting] = []


@contextmanager
def rewritten(model: nn.Module) -> Iterator[None]:
    """The functions that the model is made of, each with its branches and loops as closures.

    Of an exportable package those that hold a loop over a range, and what `relent` is given.
    """
    with ExitStack() as stack:
        _active.append(_Rewriting(model, stack))
        stack.callback(_active.pop)
        stack.enter_context(runtime.tracing(model))
        stack.enter_context(tensors_of(model))
        yield


def relent(codes: Iterable[CodeType]) -> bool:
    """Rewrite the innermost function of an exportable package, if it was spared until now."""
    return _active[-1].relent(codes)


def functions(model: nn.Module) -> Iterator[FunctionType]:
    """The user's: what the modules are called by, and what that names, near and far.

    Of classes the methods that something named calls: a library's models can also save, load and
    download themselves, which is most of their code.
    """
    seen: set[int] = set()
    reach = _Reach()
    for kind in {type(m) for m in model.modules()}:
        for base in kind.__mro__:
            reach.members(base)
    while reach.waiting:
        function = _function(reach.waiting.pop())
        if function is None or id(function) in seen:
            continue
        seen.add(id(function))
        if _is_exportable(function.__code__) or _is_users(function.__code__):
            yield function
            reach.named_by(function)
        elif function.__name__ in _CONVERSIONS:
            yield function


class _Reach:
    """What names lead to. `waiting`: what was reached and not looked at yet."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self._called = {"forward"}
        self._members: dict[str, list[Any]] = {}
        self._classes: set[type] = set()

    def members(self, kind: type) -> None:
        """Those that are named already, and those that Python calls by itself; others may be."""
        if kind in self._classes:
            return
        self._classes.add(kind)
        for name, value in vars(kind).items():
            if name in self._called or (name.startswith("__") and name.endswith("__")):
                self.waiting.append(value)
            else:
                self._members.setdefault(name, []).append(value)

    def named_by(self, function: FunctionType) -> None:
        """Globals, members of the modules and classes among them, and methods of that name."""
        codes = list(_codes(function.__code__))
        names = {n for code in codes for n in code.co_names}
        by_text = {c for code in codes for c in code.co_consts if isinstance(c, str)}
        for name in names:
            found = function.__globals__.get(name)
            if isinstance(found, ModuleType):
                self.waiting += [vars(found).get(n) for n in names]
            elif isinstance(found, type):
                self.members(found)
            else:
                self.waiting.append(found)
        for name in (names | by_text) - self._called:  # getattr(self, "name") is such a text
            self._called.add(name)
            self.waiting += self._members.pop(name, [])
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # not bound yet
                self.waiting.append(cell.cell_contents)


def _function(value: Any) -> FunctionType | None:
    """The Python function behind a method, a property or a wrapper."""
    for _ in range(8):
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        elif isinstance(value, (FunctionType, _CACHED)) and "__wrapped__" in vars(value):
            value = vars(value)["__wrapped__"]
        else:
            return value if isinstance(value, FunctionType) else None
    return None


def _place(code: CodeType) -> tuple[str, int, str]:
    return code.co_filename, code.co_firstlineno, code.co_name


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_users(code: CodeType) -> bool:
    return is_models(code.co_filename) and package(code.co_filename) not in _EXPORTABLE


def _is_exportable(code: CodeType) -> bool:
    """Is it of a model (not of what all models share) of such a package?"""
    file = code.co_filename
    return package(file) in _EXPORTABLE and f"{os.sep}models{os.sep}" in file


def _loops(code: CodeType) -> bool:
    return "range" in code.co_names and any(i.opname == "FOR_ITER" for i in get_instructions(code))


@contextmanager
def _swapped(function: FunctionType, code: CodeType) -> Iterator[None]:
    """The function with other code: it is what others imported, under whatever name."""
    own = function.__code__
    function.__globals__[syntax.RUNTIME] = runtime
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = own
        function.__globals__.pop(syntax.RUNTIME, None)


def _uncache(function: FunctionType, stack: ExitStack) -> None:
    """Let it call what lru_cache wraps, and keep by size what it keeps in a global dict.

    A cache has no entry for a size that is not known.
    """
    space = function.__globals__
    for name in {n for code in _codes(function.__code__) for n in code.co_names}:
        cached: Any = space.get(name)
        if isinstance(cached, _CACHED):
            space[name] = vars(cached)["__wrapped__"]
        elif is_by_size(cached):
            space[name] = BySize(cached)
        else:
            continue
        stack.callback(space.__setitem__, name, cached)


def _rewritten(function: FunctionType) -> CodeType | None:
    """None where there is nothing to rewrite, or the source is not to be had."""
    code = function.__code__
    tree = _definition(code)
    if tree is None or _has_private_names(tree):
        return None
    replaced = idioms.replace(tree, syntax.RUNTIME)
    if not syntax.rewrite(tree) and not replaced:
        return None
    tree.decorator_list = []
    tree.returns = None
    for argument in ast.walk(tree.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    tree.args.defaults, tree.args.kw_defaults = [], [None] * len(tree.args.kwonlyargs)
    outer = ast.FunctionDef(
        "outer",
        ast.arguments([], [ast.arg(n) for n in code.co_freevars], None, [], [], None, []),
        [tree],
        [],
    )
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(outer, tree)], []))
    try:
        made = compile(module, code.co_filename, "exec", dont_inherit=True)
    except SyntaxError:
        return None
    found = next((c for c in _codes(made) if c.co_name == code.co_name), None)
    if found is None or found.co_freevars != code.co_freevars:
        return None
    return found.replace(co_qualname=code.co_qualname)


def _definition(code: CodeType) -> ast.FunctionDef | None:
    """A fresh copy of the syntax that the code was compiled from."""
    lines = linecache.getlines(code.co_filename)
    last = _last_lines("".join(lines)).get((code.co_name, code.co_firstlineno))
    if last is None:
        return None
    first = code.co_firstlineno - 1
    own = lines[first:last]
    within = own[0][:1].isspace()  # then it needs something to be within
    tree = ast.parse("".join(["if True:\n", *own] if within else own))
    ast.increment_lineno(tree, first - within)
    return next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), None)


@lru_cache(256)  # functions come in no order of files
def _last_lines(source: str) -> dict[tuple[str, int], int]:
    """Where each function of a file ends, by its name and its first line (decorators are of it)."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name, first] = node.end_lineno
    return found


def _has_private_names(tree: ast.AST) -> bool:
    """`self.__name` means another name inside its class than outside."""
    return any(
        name.startswith("__") and not name.endswith("__")
        for n in ast.walk(tree)
        for name in (getattr(n, "attr", ""), getattr(n, "id", ""))
    )
