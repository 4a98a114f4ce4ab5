"""What is free, and what goes back to the system."""

import os
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from toolkit.memory import available, give_back

linux = pytest.mark.skipif(sys.platform != "linux", reason="no /proc")


@linux
def test_what_is_available_is_some_of_what_there_is() -> None:
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available() <= there_is


def test_a_system_that_does_not_tell_sets_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "nothing of the kind")
    assert available() == np.inf


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not platform.libc_ver()[0], reason="the heap is not glibc's")
def test_what_the_heap_keeps_below_a_block_in_use_goes_back() -> None:
    small = [np.ones(12_000) for _ in range(2000)]  # 96 KB each: from the heap
    last = small.pop()
    small.clear()
    before = resident()
    give_back()
    assert before - resident() > 100 << 20
    assert last.all()
