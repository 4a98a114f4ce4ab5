"""What the processor's flags mean for int8."""

import platform
import sys

import pytest

from toolkit.quantization import cpu

AVX2, AVX512 = frozenset({"sse2", "avx2"}), frozenset({"sse2", "avx2", "avx512f"})
NEON = frozenset({"fp", "asimd"})


@pytest.fixture
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine and the flags of the table instead of this processor's."""
    machine, flags = request.param
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(cpu, "flags", lambda: flags)


@pytest.mark.parametrize(
    ("processor", "saturates"),
    [
        (("x86_64", AVX2), True),
        (("AMD64", AVX2), True),
        (("x86_64", AVX512), True),
        (("x86_64", AVX512 | {"avx512_vnni"}), False),
        (("x86_64", AVX2 | {"avx_vnni"}), False),
        (("x86_64", AVX512 | {"avx512_vnni", "amx_int8"}), False),
        (("x86_64", frozenset()), True),
        (("aarch64", NEON), False),
        (("arm64", frozenset()), False),
    ],
    indirect=["processor"],
)
@pytest.mark.usefixtures("processor")
def test_bytes_saturate_on_x86_without_vnni_only(saturates: bool) -> None:
    assert cpu.saturates() is saturates


@pytest.mark.parametrize(
    ("processor", "text"),
    [
        (("x86_64", AVX2), "x86_64 with avx2"),
        (("x86_64", AVX512), "x86_64 with avx512f"),
        (("x86_64", AVX512 | {"avx512_vnni"}), "x86_64 with avx512_vnni"),
        (("x86_64", AVX512 | {"avx512_vnni", "amx_int8"}), "x86_64 with amx_int8"),
        (("aarch64", NEON | {"asimddp"}), "aarch64 with asimddp"),
        (("aarch64", NEON), "aarch64 with asimd"),
        (("x86_64", frozenset()), "x86_64"),
    ],
    indirect=["processor"],
)
@pytest.mark.usefixtures("processor")
def test_a_processor_is_described_by_its_best_flag(text: str) -> None:
    assert cpu.describe() == text


@pytest.mark.skipif(sys.platform != "linux", reason="they are read from /proc/cpuinfo")
def test_every_processor_has_a_flag_for_floating_point() -> None:
    assert cpu.flags() & {"fpu", "fp"}
