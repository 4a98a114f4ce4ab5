"""Gradients that the forward pass takes itself: the forces of a potential, -dE/dx.

    energy = self.net(x.requires_grad_())
    forces = -torch.autograd.grad(energy.sum(), x)[0]

torch.export records nothing of the backward pass, and finds a tensor that comes from nowhere. Here
the call is one node of the program, which is spread out once the program is there: the nodes from
`x` to the energy are run with autograd, and what that does is put in the node's place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, cast
from unittest import mock

import torch
from torch import Tensor, fx, nn
from torch._functorch import eager_transforms
from torch._guards import detect_fake_mode
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from exporters.rewrites import Family
from toolkit.errors import ExportRefused

_LIBRARY = torch.library.Library("onnxport", "FRAGMENT")
_LIBRARY.define("gradient(Tensor[] outputs, Tensor[] inputs, Tensor[] given) -> Tensor[]")


@torch.library.impl(_LIBRARY, "gradient", "CompositeExplicitAutograd")
def _stand_in(outputs: Any, inputs: Sequence[Tensor], given: Any) -> list[Tensor]:
    return [torch.empty_like(x) for x in inputs]


_GRADIENT = torch.ops.onnxport.gradient.default


class _Recording(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.autograd.grad:
            return _gradient(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _gradient(
    outputs: Any, inputs: Any, grad_outputs: Any = None, *_: Any, **others: Any
) -> tuple[Tensor, ...]:
    """`torch.autograd.grad`; of what an output does not depend on, zeros."""
    if others.get("is_grads_batched"):
        raise ExportRefused("a batch of gradients at once", "take them one by one")
    ends, starts = _several(outputs), _several(inputs)
    given = _several(grad_outputs) if grad_outputs is not None else (None,) * len(ends)
    weights = [torch.ones_like(y) if v is None else v for y, v in zip(ends, given, strict=True)]
    return tuple(_GRADIENT(list(ends), list(starts), weights))


def _several(of: Any) -> tuple[Any, ...]:
    return (of,) if isinstance(of, Tensor) else tuple(of)


def _of_function(function: Any, argnums: Any, has_aux: bool, args: Any, kwargs: Any) -> Any:
    """`torch.func.grad_and_value` of a function at its arguments."""
    if torch._C._functorch.maybe_current_level() is not None:  # within vmap, which has its own
        return _OF_FUNCTION(function, argnums, has_aux, args, kwargs)
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    args = list(args)
    for number in numbers:  # what the function takes besides, even where it is the same tensor
        args[number] = pytree.tree_map_only(Tensor, Tensor.clone, args[number])
    chosen = tuple(args[n] for n in numbers)
    starts, spec = pytree.tree_flatten(chosen[0] if isinstance(argnums, int) else chosen)
    result = function(*args, **kwargs)
    value = result[0] if has_aux else result
    return pytree.tree_unflatten(_gradient(value, starts), spec), result


_OF_FUNCTION = eager_transforms.grad_and_value_impl


@contextmanager
def _tracing(_: nn.Module) -> Iterator[None]:
    replaced = mock.patch.object(eager_transforms, "grad_and_value_impl", _of_function)
    with _Recording(), replaced:
        yield


def _finished(program: ExportedProgram) -> ExportedProgram:
    """Spread out what was recorded, the last first: it may be a gradient of one before it.

    And before torch decomposes the program, which scatters `detach` where nobody wrote one.
    """
    for module in program.graph_module.modules():
        taken = isinstance(module, fx.GraphModule) and module.graph.find_nodes(
            op="call_function", target=_GRADIENT
        )
        for node in reversed(taken or ()):
            _spread(module, node)
        if taken:
            module.graph.eliminate_dead_code()
            module.recompile()
    return program


def _spread(module: fx.GraphModule, node: fx.Node) -> None:
    outputs, inputs, given = map(_nodes, node.args)
    way = _Way.between(module, inputs, outputs)

    def gradient(weights: Sequence[Tensor], *values: Any) -> Any:
        with torch.enable_grad():
            pairs = zip(way.taken, values, strict=True)
            at = [_leaf(value) if n in way.varied else value for n, value in pairs]
            return _taken(way.program(*at), at[: len(inputs)], weights)

    values, weights = ([n.meta["val"] for n in nodes] for nodes in (way.taken, given))
    # torch's functions are its own here: this gradient is not to be recorded.
    with detect_fake_mode(values) or nullcontext(), torch._C.DisableTorchFunction():
        backward = make_fx(gradient, _allow_non_fake_inputs=True)(weights, *values)
    places = iter((*given, *way.taken))
    known: dict[fx.Node, Any] = {}
    with module.graph.inserting_before(node):
        for step in backward.graph.nodes:
            if step.op == "placeholder":
                known[step] = next(places)
            elif step.op == "call_function":
                known[step] = module.graph.node_copy(step, known.__getitem__)
                known[step].meta.setdefault("stack_trace", node.meta.get("stack_trace"))
            elif step.op != "output":
                raise ExportRefused(f"a gradient through {step.target}", "")
    results = _nodes(backward.graph.output_node().args[0])
    for user in list(node.users):
        user.replace_all_uses_with(known[results[cast(int, user.args[1])]])
        module.graph.erase_node(user)
    module.graph.erase_node(node)


def _nodes(of: Any) -> list[fx.Node]:
    return list(of)


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_()


def _taken(outputs: Any, inputs: Any, given: Any) -> tuple[Tensor, ...]:
    """The gradient itself, such that another may be taken of it."""
    found: tuple[Tensor, ...] = torch.autograd.grad(
        outputs, inputs, given, create_graph=True, allow_unused=True, materialize_grads=True
    )
    return found


class _Way(NamedTuple):
    """The part of a program that leads from some of its nodes to others."""

    program: fx.GraphModule
    taken: Sequence[fx.Node]
    """What it takes: where it starts first, then whatever else it uses."""
    varied: Set[fx.Node]
    """Of these what gradients are taken of, by itself or on the way."""

    @classmethod
    def between(
        cls, module: fx.GraphModule, inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]
    ) -> _Way:
        back, varied = set(outputs), set(inputs)
        for step in reversed(module.graph.nodes):
            if step in back and step not in inputs:
                back |= set(step.all_input_nodes)
                varied |= set(_nodes(step.args[1])) if step.target is _GRADIENT else set()
        onwards = set(varied)
        for step in module.graph.nodes:
            if onwards & set(step.all_input_nodes):
                onwards.add(step)
        between = [n for n in module.graph.nodes if n in back and n not in inputs]
        steps = [n for n in between if onwards & set(n.all_input_nodes)]
        used = dict.fromkeys((*(n for step in steps for n in step.all_input_nodes), *outputs))
        held = [n for n in used if n.op == "get_attr"]
        others = [n for n in used if n not in {*steps, *inputs, *held}]
        graph = fx.Graph()
        known = {n: graph.placeholder(n.name) for n in (*inputs, *others)}
        for step in (*held, *steps):
            known[step] = graph.node_copy(step, known.__getitem__)
            if step.target is _GRADIENT:
                known[step].target = _taken
        graph.output(tuple(known[n] for n in outputs))
        return cls(fx.GraphModule(module, graph), (*inputs, *others), varied)


FAMILY = Family("gradients", tracing=_tracing, finishing=_finished)
