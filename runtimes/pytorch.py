"""The eager module itself: as it is, and in float64 as the reference of the parity check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from runtimes.lending import Lending, is_lendable
from runtimes.recording import Call, Recorded, recall, record
from runtimes.telling import told
from runtimes.widening import widening
from toolkit.artifact import OnnxArtifact
from toolkit.copying import copied
from toolkit.errors import InputError, OnnxportError
from toolkit.memory import give_back
from toolkit.model import LoadedModel, refusal, to_array, to_tensor
from toolkit.parity.operators import Told
from toolkit.parity.repeating import AGAIN, ONE_THREAD, TF32
from toolkit.plugins import Availability
from toolkit.threads import torch_threads
from toolkit.uncompiled import uncompiled

COPIED = 256 << 20
"""Bytes of weights up to which the float64 reference is a copy of the module, which is faster."""

_MOVED = 1 << 20
"""Numbers of a weight that are moved at once, a multiple of eight."""

_LARGE = 16 << 20
"""Bytes of an output above which it is handed on without a copy, where that is safe."""


class PyTorch:
    """Eager PyTorch, in the module's own precision."""

    name = "pytorch"
    precision: torch.dtype | None = None

    def availability(self) -> Availability:
        if torch.cuda.is_available():
            return Availability(("cuda", "cpu"), {})
        built = torch.version.cuda is not None
        if built:
            problem = ("no GPU answers to torch", "does nvidia-smi list one? else use --device cpu")
        else:
            problem = ("this torch is a build without CUDA", "see pytorch.org/get-started for one")
        return Availability(("cpu",), {"cuda": problem})

    def load(self, subject: OnnxArtifact | LoadedModel, device: str) -> PyTorchSession:
        if isinstance(subject, OnnxArtifact):
            raise InputError(f"PyTorch does not run '{subject.path.name}'", "name its source")
        device = self.availability().require(device)
        if device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        if device != "cpu" or self.precision:
            subject = _copied(subject, device, self.precision)
        return PyTorchSession(subject, device, self.precision)


class PyTorchFloat64(PyTorch):
    """The module with its parameters, buffers and floating inputs in float64: a copy of it.

    Of a large module on the CPU there is none; see `runtimes.lending`.
    """

    name = "pytorch-float64"
    precision = torch.float64

    def load(self, subject: OnnxArtifact | LoadedModel, device: str) -> PyTorchSession:
        if isinstance(subject, LoadedModel) and device == "cpu" and subject.size > COPIED:
            return Lent(subject) if is_lendable(subject.module) else super().load(subject, device)
        return super().load(subject, device)


class PyTorchSession:
    """Runs the module without gradients; arrays in and out, under the names of the signature."""

    def __init__(self, model: LoadedModel, device: str, precision: torch.dtype | None) -> None:
        self.signature = model.signature
        self.device = device
        self._flat, self._precision = model.flat(), precision
        self._widens = precision is torch.float64

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where the module raises: its signature promises what it cannot do."""
        return self.step(feeds, {}, ())[0]

    def step(
        self,
        feeds: Mapping[str, np.ndarray],
        state: Mapping[str, torch.Tensor],
        keep: Collection[str],
    ) -> tuple[dict[str, np.ndarray], dict[str, torch.Tensor]]:
        """See `toolkit.plugins.Stateful`; what is held are tensors."""
        tensors = [
            state[s.name] if s.name in state else self._tensor(feeds[s.name], s.dtype)
            for s in self.signature.inputs
        ]
        outputs = list(self._outputs(tensors, feeds))
        names = [s.name for s in self.signature.outputs]
        arrays, kept = dict[str, np.ndarray](), dict[str, torch.Tensor]()
        if len(outputs) != len(names):
            raise ValueError(f"{len(outputs)} outputs came, {len(names)} are declared")
        for name in names:
            tensor = outputs.pop(0)
            if name in keep:
                kept[name] = tensor
                continue
            # A module may write to what it returned, and so it is copied. But where it is large
            # (logits in float64: 2 GB) and nobody else has it, that would be twice the memory.
            own = sys.getrefcount(tensor) <= 2 and tensor.nbytes > _LARGE and _is_alone(tensor)
            arrays[name] = to_array(tensor) if own else np.array(to_array(tensor))
        return arrays, kept

    def _outputs(
        self, tensors: list[torch.Tensor], feeds: Mapping[str, np.ndarray]
    ) -> tuple[torch.Tensor, ...]:
        try:
            # Not inference_mode: a module that caches a tensor in forward could not be exported.
            with torch.no_grad(), uncompiled(), widening() if self._widens else nullcontext():
                found: tuple[torch.Tensor, ...] = self._flat(*tensors)
                return found
        except OnnxportError:
            raise
        except Exception as error:
            if not self._widens:
                raise refusal(error, feeds) from error
        self._widens = False  # it insists on float32 somewhere
        return self._outputs(tensors, feeds)

    def select(
        self, state: Mapping[str, torch.Tensor], rows: np.ndarray
    ) -> dict[str, torch.Tensor]:
        chosen = torch.from_numpy(rows).to(self.device)
        return {name: tensor.index_select(0, chosen) for name, tensor in state.items()}

    def ways(self) -> dict[str, Callable[[], AbstractContextManager[None]]]:
        """Other ways to run, by name, each a context: see `toolkit.parity.repeating`."""
        found: dict[str, Callable[[], AbstractContextManager[None]]] = {AGAIN: nullcontext}
        if self.device != "cpu":
            return {**found, TF32: _with_tf32}
        if torch.get_num_threads() == 1:
            return found
        return {**found, ONE_THREAD: partial(torch_threads, 1)}

    @contextmanager
    def moved(self, ulps: float, rng: np.random.Generator, together: int = 0) -> Iterator[None]:
        """With each weight moved by `ulps` of float32: up or down, or all by the sign `together`.

        For a copy only, as this session has where it is in float64: the weights are put back.
        """
        weights = self._floating()
        before = [p.detach().clone() for p in weights]
        try:
            with torch.no_grad():
                for weight in weights:
                    weight.mul_(_factor(_signs(weight, rng, together), ulps).to(weight.device))
            yield
        finally:
            with torch.no_grad():
                for weight, old in zip(weights, before, strict=True):
                    weight.copy_(old)

    def _floating(self) -> list[torch.nn.Parameter]:
        return [p for p in self._flat.parameters() if p.is_floating_point()]

    def recorded(self, feeds: Mapping[str, np.ndarray]) -> list[Recorded]:
        """What it computes on the way to its outputs; see `runtimes.recording`."""
        return record(self._flat.model, lambda: self.run(feeds))

    def recalled(self, feeds: Mapping[str, np.ndarray], key: tuple[str, str, int]) -> Call | None:
        """The call of the operator that made a recorded value; see `runtimes.recording`."""
        return recall(self._flat.model, lambda: self.run(feeds), key)

    def told(self, feeds: Mapping[str, np.ndarray]) -> list[Told]:
        """What its operators are told on the way; see `runtimes.telling`."""
        return told(self._flat.model, lambda: self.run(feeds))

    def _tensor(self, array: np.ndarray, dtype: str) -> torch.Tensor:
        tensor = to_tensor(array, dtype).to(self.device)
        widened = self._precision and tensor.is_floating_point()
        return tensor.to(self._precision) if widened else tensor


class Lent(PyTorchSession):
    """In float64 without a copy of the module, as long as that is the same."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model, "cpu", torch.float64)
        self._model = model
        self._lending = Lending(model.module)
        self.lends = True
        """False once it turned out to need a copy."""

    def _outputs(
        self, tensors: list[torch.Tensor], feeds: Mapping[str, np.ndarray]
    ) -> tuple[torch.Tensor, ...]:
        if self.lends:
            try:
                with torch.no_grad(), self._lending.lending():
                    found = self._flat(*tensors)
                give_back()
                return tuple(map(self._lending.lent, found))
            except OnnxportError:
                raise
            except Exception:  # it writes to itself, or insists on float32 somewhere
                self._copy()
        return super()._outputs(tensors, feeds)

    def _copy(self) -> None:
        self.lends = False
        try:
            self._flat = _copied(self._model, self.device, self._precision).flat()
        except Exception as error:  # deepcopy runs the module's own code
            raise InputError(f"the module cannot be copied: {error}") from error

    @contextmanager
    def moved(self, ulps: float, rng: np.random.Generator, together: int = 0) -> Iterator[None]:
        """See `PyTorchSession.moved`; each weight is moved when it is read, by the same signs."""
        if not self.lends:
            with super().moved(ulps, rng, together):
                yield
            return
        weights = self._floating()
        moves = [_kept(_signs(weight, rng, together), ulps) for weight in weights]
        with self._lending.moved(zip(weights, moves, strict=True)):
            yield


def _copied(model: LoadedModel, device: str, precision: torch.dtype | None) -> LoadedModel:
    dtypes = {False: precision, True: precision and precision.to_complex()}

    def moved(tensor: torch.Tensor) -> torch.Tensor:  # Module.to makes real numbers of complex ones
        numbers = tensor.is_floating_point() or tensor.is_complex()
        return tensor.to(device, dtypes[tensor.is_complex()] if numbers else None)

    return replace(model, module=copied(model.module)._apply(moved))


def _is_alone(tensor: torch.Tensor) -> bool:
    """Does no other tensor share its memory? Not where this torch cannot tell."""
    count = getattr(torch._C, "_storage_Use_Count", None)
    # One of them is the tensor's, one that of the storage that is made to ask.
    return count is not None and count(tensor.untyped_storage()._cdata) <= 2


def _signs(weight: torch.Tensor, rng: np.random.Generator, together: int) -> np.ndarray:
    """Where each number of a weight goes: up, 1, or down, -1."""
    return np.asarray(together or rng.integers(0, 2, tuple(weight.shape), np.int8) * 2 - 1)


def _factor(signs: np.ndarray, ulps: float) -> torch.Tensor:
    return 1 + ulps * torch.finfo(torch.float32).eps * torch.as_tensor(signs).to(torch.float32)


def _kept(signs: np.ndarray, ulps: float) -> Callable[[torch.Tensor], None]:
    """Moves a weight in float64 in place, by signs that are kept as a bit each."""
    bits, shape, count = np.packbits(signs > 0), signs.shape, signs.size

    def move(wide: torch.Tensor) -> None:
        if wide.shape != shape or not wide.is_contiguous():
            wide.mul_(_factor(_unpacked(bits, count).reshape(shape), ulps))
            return
        flat = wide.view(-1)
        for start in range(0, count, _MOVED):  # the factors of all would be as large as the weight
            part = flat[start : start + _MOVED]
            packed = bits[start // 8 : (start + _MOVED) // 8]
            part.mul_(_factor(_unpacked(packed, part.numel()), ulps))

    return move


def _unpacked(bits: np.ndarray, count: int) -> np.ndarray:
    ups: np.ndarray = np.unpackbits(bits, count=count).astype(np.int8) * 2 - 1
    return ups


@contextmanager
def _with_tf32() -> Iterator[None]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
