"""One hash of all that an export depends on: weights, attributes, code, versions, options.

Two equal fingerprints mean that exporting again would write the same file. Where something cannot
be told (an attribute that has no bytes), there is no fingerprint, and nothing is taken for known.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch

from toolkit import versions
from toolkit.model import LoadedModel, to_array

_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_OWN = ("toolkit", "exporters", "runtimes")


def fingerprint(model: LoadedModel, **options: Any) -> str:
    """A SHA-256 in hex, or `""` where the model holds something that cannot be hashed.

    `options`: whatever else the result depends on, as JSON holds it.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    digest.update(f"{model.signature}\n{model.origin}\n{model.digest}".encode())
    digest.update(json.dumps(versions.installed(), sort_keys=True).encode())
    try:
        _Hasher(digest).dump((model.module, model.call, model.examples))
    except Exception:  # pickling runs the module's own code
        return ""
    for path in sorted(_user_files()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Sink:
    """Takes the bytes of a pickle into a hash."""

    def __init__(self, digest: Any) -> None:
        self.write = digest.update


class _Hasher(pickle.Pickler):
    """A pickle that is never read: tensors, functions and classes by what they are made of."""

    def __init__(self, digest: Any) -> None:
        super().__init__(_Sink(digest), protocol=5)

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            array = to_array(value)
            content = hashlib.sha256(array.data if array.flags.c_contiguous else array.tobytes())
            return str(value.dtype), tuple(value.shape), content.digest()
        if isinstance(value, ModuleType):
            return f"{value.__name__} {getattr(value, '__version__', '')}"
        if isinstance(value, FunctionType):
            free = [cell.cell_contents for cell in value.__closure__ or ()]
            return value.__qualname__, _code(value.__code__), value.__defaults__, free
        if isinstance(value, type):
            package = sys.modules.get(value.__module__.partition(".")[0])
            methods = [_code(f.__code__) for f in vars(value).values() if hasattr(f, "__code__")]
            version = getattr(package, "__version__", "")
            return value.__module__, value.__qualname__, str(version), methods
        return None


def _code(code: CodeType) -> list[Any]:
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code, constants, code.co_names, code.co_varnames]


def _user_files() -> Iterator[Path]:
    """Every file of Python that is loaded and not installed, and all of this project's own."""
    for name in _OWN:
        yield from (Path(__file__).parents[1] / name).rglob("*.py")
    yield from (p for name, p in loaded_files() if name.partition(".")[0] not in _OWN)


def loaded_files() -> Iterator[tuple[str, Path]]:
    """Modules that are loaded from files of Python and not installed, by name."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and not file.startswith(_INSTALLED):
            path = Path(file)
            if path.suffix == ".py" and path.is_file():
                yield name, path
