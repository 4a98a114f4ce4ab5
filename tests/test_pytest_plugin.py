"""The pytest plugin, in runs of pytest of its own."""

from pathlib import Path

import pytest

from tests import projects
from tests.test_startup import loaded

pytest_plugins = ["pytester"]

ROOT = str(Path(projects.__file__).parents[1])


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a config; its runs of pytest see this checkout and nothing of our options."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    projects.written(pytester.path)
    return pytester


def ran(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A run in a process of its own, which loads the plugin by its entry point."""
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", *arguments)


def collected(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A run in this process, for what checks nothing."""
    return project.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", *arguments)


def test_loading_it_imports_nothing_heavy() -> None:
    assert loaded("import toolkit.pytest_plugin") == []


def test_the_fixture_exports_checks_and_returns_the_report(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from torch import nn

        import toolkit

        def test_a_file_against_a_source(onnx_parity):
            assert onnx_parity("double.onnx", against="model.py:build", budget=1.0).holds

        def test_a_module_with_its_signature(onnx_parity):
            model = nn.Linear(4, 3).eval()
            report = onnx_parity((model, "x: float32[batch, 4]; where batch = 1..4"), budget=1.0)
            assert report.holds
            assert report.reference == "Linear"

        def test_a_tolerance_of_its_own(onnx_parity):
            tolerance = toolkit.Tolerance(atol=1e9)
            onnx_parity("square.onnx", against="model.py:build", budget=1.0, tolerance=tolerance)
        """
    )
    ran(project, "test_it.py").assert_outcomes(passed=3)


def test_the_fixture_fails_with_lines_that_say_why(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        def test_differs(onnx_parity):
            onnx_parity("square.onnx", against="model.py:build", budget=1.0)

        def test_wrong(onnx_parity):
            onnx_parity("model.py:nothing")
        """
    )
    found = ran(project, "test_it.py")
    found.assert_outcomes(failed=2)
    found.stdout.fnmatch_lines(
        [
            "square.onnx DIFFERS against model.py:build on cpu",
            "  first     'y' is *, expected *",
            "  rerun     onnxport check square.onnx --against model.py:build --case *",
            "'model.py' has no 'nothing'",
            "hint: it has: *build*",
        ]
    )
    assert "Traceback" not in found.stdout.str()
    assert "toolkit/" not in found.stdout.str()


def test_without_its_option_the_config_is_no_test(project: pytest.Pytester) -> None:
    assert collected(project).ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    "arguments", [[], ["."], ["sub"], ["onnxport.toml"], ["onnxport.toml", "."]]
)
def test_with_its_option_each_model_is_one(project: pytest.Pytester, arguments: list[str]) -> None:
    project.mkdir("sub")
    found = collected(project, "--onnx-parity", "--collect-only", "-q", *arguments)
    found.stdout.fnmatch_lines(["onnxport.toml::double", "onnxport.toml::square", "", "2 tests*"])


def test_a_model_fails_as_the_command_line_says_it(project: pytest.Pytester) -> None:
    found = ran(project, "--onnx-parity", "-ra")
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(
        [
            "*onnxport: square*",
            "square (model.py:build)",
            "  differs   export: 'y' is *, expected *",
            "  rerun     onnxport check square --case *",
        ]
    )
    assert "Traceback" not in found.stdout.str()


def test_a_wrong_config_is_told_with_its_line(project: pytest.Pytester) -> None:
    (project.path / "onnxport.toml").write_text('[models.m]\nsourc = "zoo:cnn"\n')
    found = collected(project, "--onnx-parity")
    assert found.ret == pytest.ExitCode.INTERRUPTED
    found.stdout.fnmatch_lines(
        [
            "onnxport.toml line 2: there is no key 'sourc' at models.m",
            "hint: did you mean 'source'?",
        ]
    )


def test_no_config_is_a_usage_error(project: pytest.Pytester) -> None:
    (project.path / "onnxport.toml").unlink()
    found = collected(project, "--onnx-parity")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["*--onnx-parity: there is no onnxport.toml*"])
