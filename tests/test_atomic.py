"""Files and folders appear whole or not at all, whatever happens while they are written."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from toolkit import atomic
from toolkit.atomic import replacing, workspace
from toolkit.errors import InputError

Write = Callable[[Path], AbstractContextManager[Path]]
WRITES = pytest.mark.parametrize("write", [replacing, workspace])


class Interrupted(Exception):
    """What comes between."""


def make_folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / f"{content}.txt").write_text(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is over."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


@pytest.mark.parametrize("old", [None, "old"])
def test_a_file_appears_when_the_block_ends(tmp_path: Path, old: str | None) -> None:
    target = tmp_path / "model.onnx"
    if old:
        target.write_text(old)
    with replacing(target) as scratch:
        scratch.write_text("new")
        assert target.exists() == bool(old)
    assert target.read_text() == "new"


def test_nothing_else_is_left(tmp_path: Path) -> None:
    with replacing(tmp_path / "model.onnx") as scratch:
        scratch.write_text("new")
    assert names(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize("exchange", [atomic._exchange, lambda *_: False])
def test_a_folder_replaces_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: Callable[[Path, Path], bool]
) -> None:
    monkeypatch.setattr(atomic, "_exchange", exchange)
    target = make_folder(tmp_path / "bundle", "old")
    with replacing(target) as scratch:
        make_folder(scratch, "new")
        assert names(target) == ["old.txt"]
    assert (names(tmp_path), names(target)) == (["bundle"], ["new.txt"])


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    target = make_folder(tmp_path / "bundle", "old")
    with pytest.raises(InputError, match="is a folder"), replacing(target) as scratch:
        scratch.write_text("new")
    assert (names(tmp_path), names(target)) == (["bundle"], ["old.txt"])


def interrupted(target: Path, write: Callable[[Path], object]) -> None:
    with suppress(Interrupted), replacing(target) as scratch:
        write(scratch)
        raise Interrupted


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_text("old")
    interrupted(target, lambda scratch: scratch.write_text("half"))
    assert (names(tmp_path), target.read_text()) == (["model.onnx"], "old")


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    target = make_folder(tmp_path / "bundle", "old")
    interrupted(target, lambda scratch: make_folder(scratch, "half"))
    assert (names(tmp_path), names(target)) == (["bundle"], ["old.txt"])


@pytest.mark.parametrize("name", ["model.onnx", "model[1].onnx", "model*.onnx"])
def test_what_a_dead_process_left_is_removed(tmp_path: Path, dead: int, name: str) -> None:
    (tmp_path / f".{name}.{dead}.tmp").write_text("half")
    make_folder(tmp_path / f".{name}.work.{dead}.tmp", "half")
    with replacing(tmp_path / name) as scratch:
        scratch.write_text("new")
    assert names(tmp_path) == [name]


def test_what_a_living_process_writes_is_kept(tmp_path: Path) -> None:
    theirs = f".model.onnx.{os.getppid()}.tmp"
    (tmp_path / theirs).write_text("half")
    with replacing(tmp_path / "model.onnx") as scratch:
        scratch.write_text("new")
    assert names(tmp_path) == [theirs, "model.onnx"]


def test_what_belongs_to_another_target_is_kept(tmp_path: Path, dead: int) -> None:
    other = f".other.onnx.{dead}.tmp"
    (tmp_path / other).write_text("half")
    with workspace(tmp_path / "model.onnx"):
        assert other in names(tmp_path)


def test_a_process_may_have_the_number_of_a_dead_one(tmp_path: Path) -> None:
    """In a container it often has: both are number 1."""
    make_folder(tmp_path / f".model.onnx.work.{os.getpid()}.tmp", "half")
    with workspace(tmp_path / "model.onnx") as folder:
        assert names(folder) == []


def test_a_scratch_file_of_the_same_number_is_overwritten(tmp_path: Path) -> None:
    make_folder(tmp_path / f".model.onnx.{os.getpid()}.tmp", "half")
    with replacing(tmp_path / "model.onnx") as scratch:
        scratch.write_text("new")
    assert (tmp_path / "model.onnx").read_text() == "new"


def test_a_workspace_is_beside_its_target_and_removed_with_all_in_it(tmp_path: Path) -> None:
    with workspace(tmp_path / "model.onnx") as folder:
        make_folder(folder / "deeper", "part")
        assert folder.parent == tmp_path
    assert names(tmp_path) == []


def test_a_workspace_is_removed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(Interrupted), workspace(tmp_path / "model.onnx"):
        raise Interrupted
    assert names(tmp_path) == []


@WRITES
def test_a_missing_folder_is_refused(tmp_path: Path, write: Write) -> None:
    refused = pytest.raises(InputError, match=r"folder '.*/no' does not exist")
    with refused, write(tmp_path / "no" / "model.onnx"):
        pass


@WRITES
def test_an_unwritable_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused = pytest.raises(InputError, match=r"folder '.*' is not writable")
    with refused, write(tmp_path / "model.onnx"):
        pass
