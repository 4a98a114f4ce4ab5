"""The house has floors: what lies below never imports what stands on it."""

import ast
from pathlib import Path

import pytest

import toolkit

ROOT = Path(toolkit.__file__).parent
FILES = sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py"))
CONTRACT = (
    *("artifact", "atomic", "crash", "domain", "dtypes", "errors", "examples", "forked", "grammar"),
    *("external", "isolation"),
    *("proposal/asking", "proposal/trials", "proposal/sizes", "proposal/values"),
    *("proposal/proposing", "calls", "given", "structure"),
    *("model", "plugins", "proto", "pt2", "sequence", "signature"),
    "source",
)
STAGES = ("parity", "optimize", "quantization", "inference", "project", "report")
TOP = ("pipeline", "cli")


def imported(file: str) -> set[str]:
    """The modules that a file of the package imports, at the top or within a function."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def from_any(modules: set[str], packages: tuple[str, ...]) -> list[str]:
    return sorted(m for m in modules if any(f"{m}.".startswith(f"{p}.") for p in packages))


def within(*names: str) -> tuple[str, ...]:
    return tuple(f"toolkit.{name}" for name in names)


def below(*folders: str) -> list[str]:
    return [f for f in FILES if f.startswith(tuple(f"{folder}/" for folder in folders))]


@pytest.mark.parametrize("file", FILES)
def test_the_toolkit_imports_no_exporter_and_no_runtime(file: str) -> None:
    assert from_any(imported(file), ("exporters", "runtimes")) == []


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contract_imports_no_stage(name: str) -> None:
    assert from_any(imported(f"{name}.py"), within(*STAGES, *TOP)) == []


@pytest.mark.parametrize("file", below(*STAGES))
def test_a_stage_imports_no_pipeline(file: str) -> None:
    assert from_any(imported(file), within(*TOP)) == []


@pytest.mark.parametrize("file", below("pipeline"))
def test_the_pipeline_imports_no_command_line(file: str) -> None:
    assert from_any(imported(file), within("cli")) == []


@pytest.mark.parametrize("file", below("zoo"))
def test_the_zoo_knows_signatures_and_nothing_else_of_the_toolkit(file: str) -> None:
    others = set(from_any(imported(file), ("toolkit",))) - {
        "toolkit.signature.Signature",
        "toolkit.errors.InputError",
        "toolkit.sequence.PRESENT",
        "toolkit.sequence.Generation",
    }
    others -= set(from_any(others, within("zoo")))
    assert others == set()
