"""Where models come from: Python that the user names, the zoo, `.pt2` files, weights beside them.

A source is text, `file.py:attribute`, `package.module:attribute`, `zoo:NAME`, `file.pt2` or
`SCHEME:PLACE` of a plug-in (`hf:FOLDER`; `toolkit.plugins.Source`), with arguments for a factory
after commas (`zoo:cnn,size=8`), and `part=decoder` for one graph of a model that has several
(`toolkit.sequence`). Nothing but the Python that is named there is executed; `.pt2` files and
weights are read without unpickling code.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from contextlib import suppress
from dataclasses import replace
from inspect import signature as python_signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolkit import plugins, sequence
from toolkit.calls import Call
from toolkit.errors import InputError, OnnxportError
from toolkit.examples import Feeds
from toolkit.given import read
from toolkit.model import LoadedModel, first_line, held_to, observed
from toolkit.signature import Signature
from toolkit.whose import is_models, package


def load(
    source: str | nn.Module | tuple[Any, ...] | LoadedModel,
    *,
    signature: Signature | str | None = None,
    weights: Path | str | None = None,
    examples: Any = None,
) -> LoadedModel:
    """Load a model and observe what it returns.

    The signature is the one given, else the one that comes with the model: the second of a
    `(module, signature)` pair, or the module's attribute `signature`. Examples (see
    `toolkit.given`) are those given, else the third of `(module, signature, examples)`, or the
    second of `(module, examples)`: without a signature the widest is proposed that the module
    accepts around them (`toolkit.proposal`). Raises InputError with the cause where the source, the
    weights, the signature or the examples are missing or do not fit together.
    """
    if isinstance(source, LoadedModel):
        return source
    whole, part = _without_part(source) if isinstance(source, str) else (source, "")
    found, origin = _resolve(whole) if isinstance(whole, str) else (whole, "")
    said = found.notes if isinstance(found, plugins.Built) else ()
    if isinstance(found, plugins.Built):
        found = found.module, found.signature
    module, own, shown = _unpacked(found)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"'{origin or type(source).__name__}' is a {type(module).__name__}, not a model",
            "name an nn.Module, or a function that returns one, (module, signature),"
            " (module, examples) or (module, signature, examples)",
        )
    digest = _load_weights(module, Path(weights)) if weights else ""
    notes = (*said, *_into_eval_mode(module))
    contract = _contract(module, signature or own)
    origin = origin or type(module).__name__
    if contract is None:
        model = _proposed(module, shown if examples is None else examples, origin)
        return replace(model, notes=(*notes, *model.notes), digest=digest)
    call, feeds = _shown(module, contract, shown, examples)
    model = LoadedModel(module, contract, origin, notes, digest, feeds, call)
    return sequence.part(model, part) if part else observed(model)


def _proposed(module: nn.Module, examples: Any, origin: str) -> LoadedModel:
    if examples is None:
        raise InputError(
            f"'{origin}' has no signature",
            "return (module, signature) or (module, example inputs), set module.signature, or pass"
            " one: --signature 'x: float32[batch, 4]; where batch = 1..64'",
        )
    from toolkit.proposal.proposing import narrower, propose

    found = propose(module, examples)
    model = LoadedModel(
        module, found.signature, origin, found.notes, "", found.feeds, found.call, proposed=True
    )
    try:
        return observed(model)
    except InputError as error:  # trials are few: some mixture of sizes is not accepted
        for signature in narrower(found.signature, found.feeds[0]):
            with suppress(InputError):
                return held_to(model, signature)
        raise error


def _unpacked(found: Any) -> tuple[Any, Any, Any]:
    """A module, its signature and examples, where they come with it."""
    if not isinstance(found, tuple) or len(found) not in (2, 3):
        return found, None, None
    if len(found) == 3 or found[1] is None or isinstance(found[1], (str, Signature)):
        return found[0], found[1], found[2] if len(found) == 3 else None
    return found[0], None, found[1]


def _shown(
    module: nn.Module, contract: Signature, own: Any, given: Any
) -> tuple[Call | None, tuple[Feeds, ...]]:
    """How the examples call the module, and the feeds: those given, else those it came with."""
    call: Call | None = None
    feeds: tuple[Feeds, ...] = ()
    for examples in (own, given):
        if examples is not None:
            seen, feeds = read(examples, module, contract)
            call = seen or call
    return call, feeds


def _without_part(source: str) -> tuple[str, str]:
    """`zoo:gpt,part=decoder` is `zoo:gpt`, and of that the part `decoder`."""
    whole, _, part = source.partition(",part=")
    part, comma, more = part.partition(",")
    return whole + comma + more, part


def _resolve(source: str) -> tuple[Any, str]:
    """What the text names, called where it is a function, and the text as it may be recorded."""
    scheme, _, rest = source.partition(":")
    if scheme.isidentifier() and scheme in plugins.names(plugins.SOURCES):
        return _from_plugin(scheme, rest)
    place, colon, attribute = source.rpartition(":")
    if not colon and source.endswith(".pt2"):
        from toolkit.pt2 import load_pt2

        return load_pt2(Path(source)), Path(source).name
    if not place or not attribute:
        raise InputError(
            f"'{source}' does not name a model",
            "write file.py:attribute, package.module:attribute, zoo:NAME, hf:FOLDER or file.pt2",
        )
    attribute, *arguments = attribute.split(",")
    options = _options(arguments, source)
    if place == "zoo":
        from toolkit import zoo

        module, signature = zoo.build(attribute, **options)
        return (module.eval(), signature), source
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_package(place)
    except OnnxportError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"importing '{place}' raised {type(error).__name__}: {error}".splitlines()[0],
            _where_raised(error) or "it must be importable on its own",
        ) from error
    if not hasattr(module, attribute):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise InputError(f"'{place}' has no '{attribute}'", "it has: " + ", ".join(public[-12:]))
    named = _called(getattr(module, attribute), options, source)
    if Path(place).is_absolute():  # no folder of the author's is recorded
        source = source.replace(place, Path(place).name, 1)
    return named, source


def _from_plugin(scheme: str, rest: str) -> tuple[plugins.Built, str]:
    place, *arguments = rest.split(",")
    options = _options(arguments, f"{scheme}:{rest}")
    recorded = Path(place).name if Path(place).is_absolute() else place  # no folder of the author's
    origin = ",".join([f"{scheme}:{recorded}", *arguments])
    build = plugins.source(scheme).build
    try:
        python_signature(build).bind(place, **options)
    except TypeError as error:
        known = ", ".join(list(python_signature(build).parameters)[1:])
        raise InputError(f"'{scheme}:{rest}': {first_line(error)}", f"options: {known}") from error
    return build(place, **options), origin


def _options(arguments: list[str], source: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(
                f"'{argument}' in '{source}' is not an argument", "write zoo:cnn,size=8"
            )
        try:
            options[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key] = text
    return options


def _called(found: Any, options: dict[str, Any], source: str) -> Any:
    if isinstance(found, (nn.Module, tuple)) or not callable(found):
        return found
    try:
        return found(**options)
    except OnnxportError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"'{source}' raised {type(error).__name__}: {error}".splitlines()[0],
            _where_raised(error) or "it is called without arguments but those after commas",
        ) from error


def _where_raised(error: BaseException) -> str:
    """The innermost line of the user's own code: `raised in model.py line 3`."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if is_models(file) and not package(file):
            place = f"raised in {Path(file).name} line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"there is no file '{path}'", "check the path before the colon")
    name = f"onnxport_source_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _see(path.resolve().parent)
    sys.modules[name] = module  # dataclasses and pickling look it up
    spec.loader.exec_module(module)
    return module


def _from_package(name: str) -> Any:
    _see(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise InputError(
                f"there is no module '{name}'", "is it installed, or below this folder?"
            ) from error
        raise


def _see(folder: Path) -> None:
    """Let the source import its neighbours, after everything installed so that it hides nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _contract(module: nn.Module, given: Any) -> Signature | None:
    given = given or getattr(module, "signature", None)
    return Signature.parse(given) if isinstance(given, str) else given


def _load_weights(module: nn.Module, path: Path) -> str:
    """Load a state dict from `.safetensors`, or from a torch file read with weights_only."""
    if not path.is_file():
        raise InputError(f"there is no weights file '{path}'", "check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise InputError(
            f"'{path}' is not a state dict that can be read safely: {first_line(error)}",
            "save it with safetensors.torch.save_file(model.state_dict(), path)",
        ) from error
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputError(
            f"'{path}' does not fit the model: {lines[min(1, len(lines) - 1)]}",
            "names and shapes must be those of model.state_dict()",
        ) from error
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _into_eval_mode(module: nn.Module) -> tuple[str, ...]:
    training = [name or "the model" for name, m in module.named_modules() if m.training]
    if not training:
        return ()
    module.eval()
    return (f"{training[0]} was in training mode: it is exported and checked in eval mode",)
