"""`onnxport generate`, on the bundle that `onnxport ship` makes of a language model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests.cli.conftest import Onnxport, Ran
from toolkit import cli

GPT = "zoo:gpt,layers=1,width=16,heads=2,vocabulary=20,positions=8"
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 5, 20)
IDS = RNG.integers(1, 20, (20, 4))
MASK = (np.arange(4) >= 4 - LENGTHS[:, None]).astype(np.int64)
PROMPTS = [row[-length:].tolist() for row, length in zip(IDS, LENGTHS, strict=True)]
"""One to four words, of which the state leaves room for two more after the longest."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where prompts.npz lies, and what was made of it."""
    path = tmp_path_factory.mktemp("generate")
    np.savez(path / "prompts.npz", ids=IDS, mask=MASK)
    return path


@pytest.fixture(scope="module")
def shipped(folder: Path) -> Ran:
    """`--data` calibrates with texts that fill the state to its end."""
    options = ["--data", "prompts.npz", "--exporter", "torchscript", "--budget", "100ms"]
    return subprocess.run(
        [sys.executable, "-m", "toolkit", "ship", GPT, "-o", "bundle", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(toolkit.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bundle(folder: Path, shipped: Ran) -> Path:
    assert shipped.returncode == 0, shipped.stderr
    return folder / "bundle"


def written(path: Path) -> list[list[int]]:
    with np.load(path) as found:
        pairs = zip(found["tokens"], found["lengths"], strict=True)
        return [row[:length].tolist() for row, length in pairs]


def test_ship_lists_the_files_of_all_graphs(bundle: Path, shipped: Ran) -> None:
    names = {line.split()[0] for line in shipped.stdout.splitlines()}
    assert names == {f"bundle/{p.relative_to(bundle)}" for p in bundle.rglob("*") if p.is_file()}
    assert {"bundle/manifest.json", "bundle/decoder/model.onnx"} <= names


def test_ship_says_that_the_texts_are_pytorchs(shipped: Ran) -> None:
    assert "32 of 32 sequences are PyTorch's" in shipped.stderr


def test_writes_what_the_source_writes(onnxport: Onnxport, bundle: Path, tmp_path: Path) -> None:
    ran = onnxport("generate", bundle, bundle.parent / "prompts.npz", "-o", "texts.npz")
    assert (ran.returncode, ran.stdout) == (0, "texts.npz\n"), ran.stderr
    assert written(tmp_path / "texts.npz") == toolkit.generator(GPT).generate(prompts=PROMPTS)


def test_says_how_much_it_wrote(onnxport: Onnxport, bundle: Path, tmp_path: Path) -> None:
    options = ["--most", "1", "--device", "cpu"]
    ran = onnxport("generate", bundle, bundle.parent / "prompts.npz", "-o", "texts.npz", *options)
    count = sum(map(len, written(tmp_path / "texts.npz")))
    assert ran.stderr.startswith(f"generate  20 rows, {count} tokens on cpu, ")
    assert len(ran.stderr.splitlines()) == 1


def test_the_options_are_those_of_the_call(
    onnxport: Onnxport, bundle: Path, tmp_path: Path
) -> None:
    options = ["--most", "2", "--beams", "3", "--length-penalty", "0.5"]
    onnxport("generate", bundle, bundle.parent / "prompts.npz", "-o", "texts.npz", *options)
    expected = toolkit.generator(GPT).generate(prompts=PROMPTS, most=2, beams=3, length_penalty=0.5)
    assert written(tmp_path / "texts.npz") == expected


@pytest.mark.parametrize(
    ("arrays", "options", "error", "hint"),
    [
        pytest.param({"ids": IDS}, [], "input 'mask' is missing", "has: ids", id="missing"),
        pytest.param(
            {"ids": IDS, "mask": MASK, "source": IDS},
            *([], "there is no input 'source'", "inputs are: ids, mask"),
            id="unknown",
        ),
        pytest.param(
            {"ids": IDS, "mask": MASK[:9]},
            *([], "inputs have different numbers of rows: ids 20, mask 9", "one row a sample"),
            id="fewer rows",
        ),
        pytest.param(
            {"ids": IDS + 9, "mask": MASK},
            *([], "input 'ids' holds 28, expected 0..19", "scale or clip"),
            id="no word",
        ),
        pytest.param(
            {"ids": IDS, "mask": 0 * MASK},
            *([], "after prompts of 0 tokens", "all three are at least 1"),
            id="nothing but padding",
        ),
        pytest.param(
            {"ids": IDS, "mask": MASK},
            *(["--most", "7"], "7 tokens after 4 are more", "ask for at most 5 tokens"),
            id="too many tokens",
        ),
        pytest.param(
            {"ids": IDS, "mask": MASK},
            *(["--beams", "17"], "17 beams are more than its batch of 16", "use fewer beams"),
            id="too many beams",
        ),
    ],
)
def test_refuses_what_cannot_be_continued(
    bundle: Path,
    current: Path,
    capsys: pytest.CaptureFixture[str],
    arrays: dict[str, np.ndarray],
    options: list[str],
    error: str,
    hint: str,
) -> None:
    np.savez(current / "in.npz", **arrays)  # type: ignore[arg-type]  # one might be allow_pickle
    (current / "texts.npz").write_text("older")
    ran = in_process(capsys, "generate", str(bundle), "in.npz", "-o", "texts.npz", *options)
    assert_two_lines(ran, 3, error, hint)
    assert (current / "texts.npz").read_text() == "older"


@pytest.mark.parametrize("name", ["bundle/decoder", "."])
def test_refuses_a_folder_that_writes_no_sequences(
    bundle: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    ran = in_process(capsys, "generate", str(bundle.parent / name), "in.npz", "-o", "texts.npz")
    assert_two_lines(ran, 3, "is not the bundle of a model that writes sequences", "ship zoo:gpt")


def test_refuses_a_file_that_is_not_there(onnxport: Onnxport, bundle: Path) -> None:
    ran = onnxport("generate", bundle, "lost.npz", "-o", "texts.npz")
    assert_two_lines(ran, 3, "there is no file 'lost.npz'", "name an .npy or .npz file")


def test_refuses_to_ask_for_no_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    ran = in_process(capsys, "generate", "bundle", "in.npz", "-o", "texts.npz", "--most", "0")
    assert_two_lines(ran, 2, "Invalid value for '--most'", "generate --help")


def test_a_command_for_one_graph_names_that_of_the_bundle(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(capsys, "inspect", str(bundle))
    assert_two_lines(ran, 3, "has 1 graph", f"{bundle}/decoder")


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """As the fixture `onnxport` does, without a second for the imports of another process."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return Ran(arguments, caught.value.code, *capsys.readouterr())


def assert_two_lines(ran: Ran, code: int, error: str, hint: str) -> None:
    assert (ran.returncode, ran.stdout) == (code, ""), ran.stderr
    first, second = ran.stderr.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert second.startswith("hint:  ")
    assert hint in second


def test_the_command_checks_all_of_a_bundle(bundle: Path, onnxport: Onnxport) -> None:
    found = onnxport("check", bundle, "--budget", "500ms", "--junit", "j.xml")
    assert found.returncode == 0, found.stderr
    told = found.stdout.splitlines()
    assert told[0].startswith("bundle/decoder holds against zoo:gpt")
    float32 = "writes    float32: 32 of 32 sequences are PyTorch's; error of the"
    assert [line.startswith(float32) for line in told].count(
        True
    ) == 1  # int8 follows where it pays
    as_json = json.loads(onnxport("check", bundle, "--budget", "100ms", "--json").stdout)
    assert (as_json["holds"], list(as_json["parts"])) == (True, ["decoder"])


def test_an_option_of_one_graph_is_refused(bundle: Path, onnxport: Onnxport) -> None:
    found = onnxport("check", bundle, "--save", "x.npz")
    assert found.returncode == 2
    assert found.stderr.splitlines()[0].endswith(f"--save is for one graph: name {bundle}/decoder")
