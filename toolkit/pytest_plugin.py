"""The pytest plugin: the fixture `onnx_parity`, and `pytest --onnx-parity` for a config's models.

    def test_export(onnx_parity):
        onnx_parity("zoo:cnn")

It is loaded by every run of pytest, so it imports nothing heavy before it is used.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from toolkit.errors import InputError, OnnxportError, UsageError
from toolkit.project.config import find_config, read_config

if TYPE_CHECKING:
    from toolkit.parity.results import ParityReport
    from toolkit.parity.verdict import Tolerance
    from toolkit.project.results import ModelResult

_CONFIG = pytest.StashKey[Path]()


class OnnxParity:
    """What the fixture is: a call that exports, checks, and fails the test where it does not hold.

    Files that it exports lie in a temporary folder of the test, for as long as pytest keeps it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def __call__(
        self,
        model: Any,
        *,
        against: Any = None,
        signature: Any = None,
        weights: Path | str | None = None,
        budget: float = 30.0,
        device: str = "cpu",
        tolerance: Tolerance | None = None,
    ) -> ParityReport:
        """Check `model`: a source, a module, `(module, signature)`, an ONNX file or a bundle.

        What is no file is exported first. `against`: what to hold it against, in place of the
        source or of what the file says that it was made from. The rest as in `toolkit.check`.
        """
        __tracebackhide__ = True
        import toolkit
        from toolkit.pipeline.subjects import is_file

        common = {"signature": signature, "weights": weights, "budget": budget}
        rerun, report = "", None
        try:
            if is_file(model):
                path, original = model, against
            else:
                self._count += 1
                path = self._folder / f"model-{self._count}.onnx"
                original = model if against is None else against
                exported = toolkit.export(model, path, **common)
                report = exported.report
            if report is None or against is not None or device != "cpu" or tolerance is not None:
                report = toolkit.check(
                    path,
                    against=original,
                    device=device,
                    tolerance=tolerance,
                    explain=True,
                    **common,
                )
        except OnnxportError as error:
            pytest.fail(_two_lines(error), pytrace=False)
        if not report.holds:
            from toolkit.report.lines import parity_text

            if isinstance(original, (str, Path, type(None))):
                words = ["onnxport", "check", str(path)]
                words += ["--against", str(original)] if original else []
                rerun = shlex.join(words)
            pytest.fail(parity_text(report, rerun), pytrace=False)
        return report


@pytest.fixture
def onnx_parity(tmp_path_factory: pytest.TempPathFactory) -> OnnxParity:
    """Exports a model, proves that the file behaves the same, and fails the test where not."""
    return OnnxParity(tmp_path_factory.mktemp("onnx_parity"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("onnxport", "parity of ONNX files").addoption(
        "--onnx-parity",
        action="store_true",
        help="Also check the models of onnxport.toml (or [tool.onnxport]), a test each.",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("onnx_parity"):
        return
    found = find_config(config.rootpath)
    if found is None:
        raise pytest.UsageError(f"--onnx-parity: there is no onnxport.toml in {config.rootpath}")
    config.stash[_CONFIG] = found
    # Its folder need not be among those that are searched; with xdist, workers get it passed.
    if str(found) not in config.args:
        config.args.append(str(found))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path != parent.config.stash.get(_CONFIG, None):
        return None
    models: ConfigFile = ConfigFile.from_parent(parent, path=file_path)
    return models


class ConfigFile(pytest.File):
    """The config as a file of tests."""

    def collect(self) -> Iterator[ModelItem]:
        try:
            config = read_config(self.path)
        except (InputError, UsageError) as error:
            raise self.CollectError(_two_lines(error)) from error
        for model in config.models:
            item: ModelItem = ModelItem.from_parent(self, name=model.name)
            item.line = model.line
            yield item


class ModelItem(pytest.Item):
    """One model of the config, with all of its stages, held against the lock."""

    line = 1

    def runtest(self) -> None:
        import toolkit

        report = toolkit.check_project(self.path, names=[self.name], jobs=1)
        if not report.holds:
            raise NotProven(report.models[0])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NotProven):
            from toolkit.report.project import told_in_text

            return told_in_text(excinfo.value.result)
        if isinstance(excinfo.value, OnnxportError):
            return _two_lines(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, f"onnxport: {self.name}"


class NotProven(Exception):
    """A model that does not hold, or drifts."""

    def __init__(self, result: ModelResult) -> None:
        super().__init__(result.name)
        self.result = result


def _two_lines(error: OnnxportError) -> str:
    return f"{error.message}\nhint: {error.hint}" if error.hint else error.message
