"""A seal on an exported file: what it was made from, what was found, and that nobody touched it.

It is the last entry of the file's metadata, appended to what was checked, and holds a hash of its
own words and of all the bytes before it. (Protobuf concatenates messages: to a reader it is one
entry more.)
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from onnx import ModelProto, StringStringEntryProto

from toolkit.artifact import SEAL_KEY, OnnxArtifact, read_outline, sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CHUNK = 1 << 20


def seal(artifact: OnnxArtifact, fingerprint: str, verdict: str) -> None:
    """Append it to a file that has none.

    `fingerprint`: of the model that it was made from, `toolkit.fingerprint`. `verdict`: one line on
    the check that it passed.
    """
    words = {"fingerprint": fingerprint, "verdict": verdict}
    said = {**words, "hash": _hash(words, artifact.files, artifact.path.stat().st_size)}
    with artifact.path.open("ab") as file:
        file.write(_written(json.dumps(said, sort_keys=True)))


def verdict(artifact: OnnxArtifact, fingerprint: str) -> str:
    """What was found of this very file, made from a model of this fingerprint; "" where unknown."""
    proto = read_outline(artifact.path)
    said = next((p.value for p in proto.metadata_props if p.key == SEAL_KEY), "")
    if not said:
        return ""
    end = _written(said)
    try:
        words = json.loads(said)
        found = words.pop("hash")
        before = artifact.path.stat().st_size - len(end)
        with artifact.path.open("rb") as file:
            file.seek(before)
            last = file.read() == end
        known = last and words["fingerprint"] == fingerprint
        return words["verdict"] if known and _hash(words, artifact.files, before) == found else ""
    except (ValueError, KeyError, OSError):  # not by us, or its weights are gone
        return ""


def _written(value: str) -> bytes:
    entry = StringStringEntryProto(key=SEAL_KEY, value=value)
    return bytes(ModelProto(metadata_props=[entry]).SerializeToString())


def _hash(words: dict[str, str], files: Sequence[Path], size: int) -> str:
    """Of what is said, the first `size` bytes of the model's file, and the files of its weights."""
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    with files[0].open("rb") as file:
        while size and (part := file.read(min(size, _CHUNK))):
            digest.update(part)
            size -= len(part)
    for path in files[1:]:
        digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()
