"""The config of a project: what it says, and what is said of a wrong one."""

import re
from pathlib import Path

import pytest

from toolkit.errors import InputError, UsageError
from toolkit.project.config import OF_A_MODEL, OF_ALL, find_config, read_config

WHOLE = """
budget = "2m"
devices = ["cpu", "cuda"]

[models.digits]
source = "model.py:build"
signature = "@digits.txt"
stages = ["export", "int8"]
min_sqnr = 20
devices = "cpu"

[models."names with spaces"]
file = "names.onnx"
"""


def written(folder: Path, text: str, name: str = "onnxport.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_reads_models_and_what_holds_for_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "digits.txt").write_text("x: float32[4]")
    digits, names = read_config(written(tmp_path, WHOLE)).models
    assert (digits.name, digits.source, digits.signature) == (
        "digits",
        "model.py:build",
        "x: float32[4]",
    )
    assert (digits.budget, digits.stages, digits.min_sqnr) == (120.0, ("export", "int8"), 20.0)
    assert (digits.devices, names.devices) == (("cpu",), ("cpu", "cuda"))
    assert (digits.line, names.line) == (5, 12)


def test_is_found_in_a_folder_above(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_config(tmp_path / "a" / "b") == path


def test_may_stand_in_pyproject(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\n\n[tool.onnxport.models.m]\nsource = "zoo:cnn"\n'
    path = written(tmp_path, text, "pyproject.toml")
    assert find_config(tmp_path) == path
    (model,) = read_config(path).models
    assert (model.name, model.line) == ("m", 4)


def test_a_pyproject_without_our_table_is_none_of_ours(tmp_path: Path) -> None:
    written(tmp_path, "[project]\n", "pyproject.toml")
    (tmp_path / "a").mkdir()
    written(tmp_path / "a", "[tool.other]\n", "pyproject.toml")
    assert find_config(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            '[models.m]\nsourc = "zoo:cnn"\n',
            "onnxport.toml line 2: there is no key 'sourc' at models.m",
            "did you mean 'source'?",
        ),
        (
            'bugdet = "3s"\n[models.m]\nsource = "zoo:cnn"\n',
            "onnxport.toml line 1: there is no key 'bugdet' at the top",
            "did you mean 'budget'?",
        ),
        (
            'source = "zoo:cnn"\n',
            "onnxport.toml line 1: there is no key 'source' at the top",
            "it is a key of one model: put it below [models.NAME]",
        ),
        (
            '[models.m]\nsource = "zoo:cnn"\ncases = "many"\n',
            "onnxport.toml line 3: 'models.m.cases' is 'many'",
            "write a whole number, not negative",
        ),
        (
            '[models.m]\nsource = "zoo:cnn"\nstages = ["export", "int4"]\n',
            "onnxport.toml line 3: 'models.m.stages' is ['export', 'int4']",
            'write some of "export", "simplify", "int8"',
        ),
        (
            '[models.m]\nsource = "zoo:cnn"\nbudget = "soon"\n',
            "onnxport.toml line 3: 'models.m.budget' is 'soon'",
            'write "30s", "2m" or a number of seconds',
        ),
        (
            '[models.m]\nsource = "zoo:cnn"\nseed = true\n',
            "onnxport.toml line 3: 'models.m.seed' is True",
            "write a whole number, not negative",
        ),
        (
            '[models.m]\nsource = "zoo:cnn"\n[models.m]\nsource = "zoo:mlp"\n',
            "onnxport.toml line 3: Cannot declare ('models', 'm') twice",
            "give each model a name of its own",
        ),
        (
            "[models.m]\nsource = zoo\n",
            "onnxport.toml line 2: Invalid value",
            "see https://toml.io",
        ),
        (
            "[models.m]\nseed = 1\n",
            "onnxport.toml line 1: 'models.m' has no source and no file",
            'write source = "model.py:build", or file = "model.onnx"',
        ),
        (
            '[models]\nm = "zoo:cnn"\n',
            "onnxport.toml line 2: 'models.m' is not a table",
            "write [models.m] and its keys below",
        ),
        (
            "seed = 1\n",
            "onnxport.toml line 1: lists no models",
            'add one: [models.NAME], source = "model.py:build"',
        ),
        (
            '[models.m]\nsource = "zoo:cnn"\nsignature = "@nowhere.txt"\n',
            "onnxport.toml line 3: there is no file 'nowhere.txt'",
            "it is relative to the folder of the config",
        ),
    ],
)
def test_says_line_key_and_what_to_write(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_config(written(tmp_path, text))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_name_that_is_not_listed_is_told_with_the_nearest(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, '[models.digits]\nsource = "zoo:cnn"\n'))
    assert config.named(())[0] is config.named(("digits", "digits"))[0]
    with pytest.raises(UsageError) as caught:
        config.named(("digit",))
    assert caught.value.message == "there is no model 'digit' in onnxport.toml"
    assert caught.value.hint == "did you mean 'digits'?"


def test_every_key_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
    assert documented == {*OF_A_MODEL, *OF_ALL}


def test_the_example_of_the_documentation_is_a_config(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0]
    assert [m.name for m in read_config(written(tmp_path, example)).models] == ["digits", "encoder"]
