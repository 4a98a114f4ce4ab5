"""What a runtime loads: of releases from a table, of the installed one by asking it."""

import onnxruntime as ort
import pytest

from toolkit.errors import MissingError, UsageError
from toolkit.targets import target
from toolkit.versions import require_sound


def test_the_installed_one_loads_what_the_table_says_of_its_release() -> None:
    asked = target()
    release = ".".join(ort.__version__.split(".")[:2])
    listed = target(f"onnxruntime=={release}")
    assert (asked.opset, asked.ir_version) == (listed.opset, listed.ir_version)


@pytest.mark.parametrize(
    "text", ["onnxruntime==1.20", "onnxruntime==1.20.1", "onnxruntime == 1.20"]
)
def test_a_release_is_found_by_its_first_two_numbers(text: str) -> None:
    found = target(text)
    assert (found.name, found.opset, found.ir_version) == ("onnxruntime 1.20", 21, 10)


@pytest.mark.parametrize("text", ["tensorrt", "onnxruntime==9.9", "onnxruntime>=1.2", "1.20"])
def test_another_text_is_a_wrong_call(text: str) -> None:
    with pytest.raises(UsageError):
        target(text)


def test_later_releases_load_no_less() -> None:
    found = [target(f"onnxruntime==1.{n}") for n in range(16, 33)]
    assert [t.opset for t in found] == sorted(t.opset for t in found)
    assert [t.ir_version for t in found] == sorted(t.ir_version for t in found)


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"torch": "2.9.1+cu128", "onnxscript": "0.5.6"}, "batch normalization comes out wrong"),
        ({"torch": "2.6.0", "onnxscript": "0.5.4"}, "batch normalization is not exported"),
    ],
)
def test_versions_that_are_wrong_together_are_refused(
    versions: dict[str, str], reason: str
) -> None:
    with pytest.raises(MissingError, match=reason):
        require_sound(versions)


@pytest.mark.parametrize(
    "versions", [{"torch": "2.9.1", "onnxscript": "0.5.7"}, {"torch": "2.13.0"}, {}]
)
def test_others_are_not(versions: dict[str, str]) -> None:
    require_sound(versions)


def test_the_installed_ones_are_sound() -> None:
    require_sound()
