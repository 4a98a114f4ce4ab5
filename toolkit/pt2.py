"""`.pt2` files (torch.export.save), read without running anything that they carry.

torch.export.load unpickles (weights, constants, sample inputs), resolves operator names by getattr
from `torch`, gives symbolic sizes to sympy's eval and compiles guards with exec: each runs code
that a hostile file chooses. So the archive is read first, by torch's own reader, against a list of
what a plain model needs; anything else is refused before torch.export sees the file.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolkit.domain import Interval
from toolkit.dtypes import DTYPES
from toolkit.errors import InputError
from toolkit.signature import Dim, Signature, TensorSpec

_MEMBERS = re.compile(
    r"archive_(format|version)|byteorder|version|\.data/(version|serialization_id)"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|torchvision)\.(?!(from_file|save)\b)\w+\.\w+"  # these touch files
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|wrap_with_set_grad_enabled)"
    r"|torch\.(sym_\w+|_sym_\w+|_check\w*)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|not_|invert"
    r"|eq|ne|lt|le|gt|ge|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
_PLAIN = re.compile(r"[\w.:/<>+\- ]*")
_KEYS = re.compile(r'None|null|""|\[("[\w.]*"(, ?"[\w.]*")*)?\]')
_TREE_TYPES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})
_EXPRESSION_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword,
    ast.BinOp, ast.UnaryOp, ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
# What sympy's srepr writes for sizes. `S`, `sympify` and `Function` would evaluate their argument.
_EXPRESSION_CALLS = frozenset(
    {
        *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Max", "Min", "Mod"),
        *("FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing", "PythonMod", "Where"),
        *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "And", "Or", "Not"),
        *("LessThan", "GreaterThan", "StrictLessThan", "StrictGreaterThan"),
        *("TruncToInt", "ToFloat", "IntTrueDiv", "FloatTrueDiv"),
    }
)
_UNBOUNDED = 64  # what stands for "no upper limit" in a file that declares none


def load_pt2(path: Path) -> tuple[nn.Module, Signature]:
    """The program as a module, with the signature that its sample inputs and ranges give.

    Raises InputError where the file is missing, damaged, or holds more than data.
    """
    if not path.is_file():
        raise InputError(f"there is no file '{path}'", "check the path")
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        for problem in _beyond_data(reader):
            raise InputError(
                f"'{path.name}' holds more than data: {problem}",
                "only plain torch.export.save files are read; use file.py:attribute instead",
            )
        program = torch.export.load(str(path))
        module = program.module(check_guards=False)
        for part in module.modules():
            part.training = False  # its mode was fixed at export, and eval() is refused
        return module, _signature(program)
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"'{path.name}' is not a .pt2 file that this torch reads: {reason}",
            "save it again with torch.export.save",
        ) from error


def _beyond_data(reader: Any) -> Iterator[str]:
    """What in the archive could run code, or is not known to be harmless."""
    members = reader.get_all_records()
    for member in members:
        if not (_MEMBERS.fullmatch(member) or member.startswith("extra/")):
            yield f"the member {member}"
    for kind, member in (("weight", "weights"), ("tensor", "constants")):
        config = json.loads(reader.get_record(f"data/{member}/model_{member}_config.json"))
        for name, entry in config["config"].items():
            if entry["use_pickle"] or not re.fullmatch(rf"{kind}_\d+", entry["path_name"]):
                yield f"'{name}' is pickled"
        yield from _unsafe(config, "config")
    if samples := reader.get_record("data/sample_inputs/model.pt"):
        try:
            torch.load(io.BytesIO(samples), weights_only=True)
        except Exception:
            yield "its sample inputs are pickled objects"
    program = json.loads(reader.get_record("models/model.json"))
    program.pop("guards_code", None)  # guards are not compiled: see check_guards
    yield from _unsafe(program, "")


def _unsafe(value: Any, key: str) -> Iterator[str]:
    """Strings of the program that do more than name or number something."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not _PLAIN.fullmatch(name):
                yield f"the name {name!r}"
            yield from _unsafe(inner, name)
    elif isinstance(value, list):
        for inner in value:
            if key == "nodes" and isinstance(inner, dict):  # what it says of a node's origin
                inner = {k: v for k, v in inner.items() if k != "metadata"}  # noqa: PLW2901
            yield from _unsafe(inner, key)
    elif isinstance(value, str) and not _harmless(value, key):
        yield f"{key} {value[:80]!r}"


def _harmless(text: str, key: str) -> bool:
    if key in ("target", "as_operator"):
        return _OPERATORS.fullmatch(text) is not None
    if key == "expr_str":
        return _is_size(text)
    if key in ("in_spec", "out_spec"):
        return _is_plain_tree(json.loads(text))
    return _PLAIN.fullmatch(text) is not None


def _is_size(text: str) -> bool:
    for node in ast.walk(ast.parse(text, mode="eval")):
        if not isinstance(node, _EXPRESSION_NODES):
            return False
        if isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id in _EXPRESSION_CALLS
        ):
            return False
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and not re.fullmatch(r"[\w.\-]*", value):
            return False
    return True


def _is_plain_tree(spec: Any) -> bool:
    """Tuples, lists, and dicts whose keys are words: torch writes them into Python."""
    if isinstance(spec, dict):
        known = spec.get("type") in _TREE_TYPES and _KEYS.fullmatch(str(spec.get("context")))
        return bool(known) and all(map(_is_plain_tree, spec.get("children_spec", ())))
    return not isinstance(spec, list) or all(map(_is_plain_tree, spec))


def _signature(program: torch.export.ExportedProgram) -> Signature:
    wanted = set(program.graph_signature.user_inputs)
    specs, ranges = [], {str(k): v for k, v in program.range_constraints.items()}
    for node in program.graph.nodes:
        if node.op != "placeholder" or node.name not in wanted:
            continue
        value = node.meta.get("val")
        dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
        if dtype not in DTYPES:
            raise InputError(f"input '{node.name}' is not a tensor", "pass tensors only")
        shape = tuple(n if isinstance(n, int) else str(n) for n in value.shape)
        specs.append(TensorSpec(node.name, dtype, shape))
    used = dict.fromkeys(n for s in specs for n in s.shape if isinstance(n, str))
    return Signature(tuple(specs), tuple(_dim(name, ranges.get(name)) for name in used))


def _dim(name: str, limits: Any) -> Dim:
    if limits is None:
        raise InputError(
            f"a size of the program is the expression {name}", "pass its signature: --signature"
        )
    low = max(int(limits.lower), 1)
    bounded = limits.upper.is_Integer and int(limits.upper) < 2**31
    return Dim(name, Interval(low, int(limits.upper) if bounded else max(low, _UNBOUNDED)))
