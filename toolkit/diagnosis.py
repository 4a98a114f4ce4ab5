"""What this machine has, what it lacks, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from toolkit import plugins, versions
from toolkit.errors import OnnxportError
from toolkit.quantization import cpu


@dataclass(frozen=True)
class Problem:
    """Something wrong, and the command or step that mends it."""

    what: str
    cure: str


@dataclass(frozen=True)
class Diagnosis:
    """Versions, the devices of each runtime, what other devices lack, and what is broken."""

    versions: dict[str, str]
    processor: str
    devices: dict[str, tuple[str, ...]]
    lacking: dict[str, tuple[str, str]]
    """`onnxruntime on cuda`: (what is missing, how to get it). No fault where there is no GPU."""
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        return 4 if self.problems else 0


def doctor() -> Diagnosis:
    """Look at the installation. Loads every runtime; nothing is changed."""
    devices: dict[str, tuple[str, ...]] = {}
    lacking: dict[str, tuple[str, str]] = {}
    problems = _wheel_conflicts()
    for name in plugins.names(plugins.RUNTIMES):
        try:
            found = plugins.runtime(name).availability()
        except (OnnxportError, AttributeError) as error:
            cure = getattr(error, "hint", "") or "reinstall the packages listed above"
            problems.append(Problem(f"runtime '{name}' does not load: {error}", cure))
            continue
        devices[name] = found.devices
        lacking |= {f"{name} on {device}": why for device, why in found.missing.items()}
    return Diagnosis(versions.installed(), cpu.describe(), devices, lacking, tuple(problems))


def _wheel_conflicts() -> list[Problem]:
    """onnxruntime and onnxruntime-gpu install into one folder, and the later hides the earlier."""
    installed = {n: _version(n) for n in ("onnxruntime", "onnxruntime-gpu")}
    present = [n for n, version in installed.items() if version]
    if not present:
        return [Problem("ONNX Runtime is not installed", "pip install onnxruntime-gpu")]
    mend = "pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu"
    if len(present) == 2:
        return [
            Problem(
                f"onnxruntime {installed['onnxruntime']} and onnxruntime-gpu"
                f" {installed['onnxruntime-gpu']} overwrite each other's files",
                mend,
            )
        ]
    spec = util.find_spec("onnxruntime")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not any((Path(folder) / "capi" / "_pybind_state.py").is_file() for folder in folders):
        return [Problem(f"{present[0]} is registered but its files are gone", mend)]
    return []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
