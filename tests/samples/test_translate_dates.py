"""Both models translate from the bundle what PyTorch translates; too few steps to be right here."""

import pytest

from tests.samples.running import run_sample

MODELS = ("encoder_decoder", "transformer")


@pytest.fixture(scope="module", params=MODELS)
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("dates")
    options = ("--steps", "30", "--held-out", "200", "--budget", "2", "--models", request.param)
    printed = run_sample("translate_dates.py", "--out", out, *options)
    assert {"encoder", "decoder"} < {p.name for p in (out / request.param / "bundle").iterdir()}
    return [line for line in printed.splitlines() if line.startswith(request.param)]


def test_greedy_tokens_are_those_of_pytorch_on_200_held_out_dates(rows: list[str]) -> None:
    assert rows[0].split()[1] == "1"
    assert int(rows[0].split()[4]) == 200


def test_tokens_of_4_beams_are_those_of_pytorch_on_200_held_out_dates(rows: list[str]) -> None:
    assert rows[1].split()[1] == "4"
    assert int(rows[1].split()[4]) == 200
