"""Outputs of a reference, recorded and read back."""

import numpy as np
import pytest

from tests.parity.functions import Computes
from toolkit.errors import InputError
from toolkit.parity.cases import Case, plan
from toolkit.parity.golden import Recording, from_arrays, record, to_arrays
from toolkit.parity.judging import Judge
from toolkit.parity.reference import Reference
from toolkit.parity.verdict import Tolerance
from toolkit.signature import Signature

SIGNATURE = Signature.parse("x: float32[n, 3]\nwhere n = 1..64\n-> y: float32[n, 3]")
REFERENCE = Reference(Computes(SIGNATURE, np.sin), Computes(SIGNATURE, lambda x: np.sin(x * 1.0)))
CASES = plan(SIGNATURE, special=False)


@pytest.fixture(scope="module")
def recording() -> Recording:
    recorded = record(REFERENCE, CASES, seconds=60, most_cases=8)
    cases = [r.case for r in recorded]
    return Recording(SIGNATURE, from_arrays(cases, to_arrays(recorded), SIGNATURE))


def test_what_is_read_back_is_what_the_reference_returns(recording: Recording) -> None:
    assert len(recording.cases) == 8
    for case in CASES[:8]:
        feeds = case.feeds(SIGNATURE)
        ours, theirs = recording.expect(feeds), REFERENCE.expect(feeds)
        assert ours.plain["y"].tobytes() == theirs.plain["y"].tobytes()
        assert ours.truth["y"].tobytes() == theirs.truth["y"].tobytes()
        noise, live = (r.noise(case, feeds, ours) for r in (recording, REFERENCE))
        assert noise.spread == live.spread


def test_the_ties_of_whole_numbers_are_read_back() -> None:
    signature = Signature.parse("x: float32[n]\nwhere n = 1..64\n-> y: int64[n]")
    session = Computes(signature, lambda x: np.floor(x).astype(np.int64))
    reference, case = Reference(session, session), Case((("n", 8),), "zeros", 0)
    recorded = record(reference, [case], seconds=60)
    recording = Recording(signature, from_arrays([case], to_arrays(recorded), signature))
    feeds = case.feeds(signature)
    noise, live = (
        r.noise(case, feeds, r.expect(feeds)).undecided["y"] for r in (recording, reference)
    )
    assert live.any()
    np.testing.assert_array_equal(noise, live)


def test_its_cases_give_the_recorded_inputs_under_their_own_text(recording: Recording) -> None:
    assert {str(c) for c in recording.cases} == {str(c) for c in CASES[:8]}
    for case in recording.cases:
        feeds = case.feeds(SIGNATURE, recording.given)
        drawn = Case.parse(str(case), SIGNATURE).feeds(SIGNATURE)
        np.testing.assert_array_equal(feeds["x"], drawn["x"])


@pytest.mark.parametrize(("off", "holds"), [(0.0, True), (1e-3, False)])
def test_a_candidate_is_judged_as_beside_the_original(
    recording: Recording, off: float, holds: bool
) -> None:
    for case in recording.cases:
        feeds = case.feeds(SIGNATURE, recording.given)
        expected = recording.expect(feeds)
        got = {"y": np.sin(feeds["x"]) + np.float32(off)}
        verdict = Judge(recording, Tolerance())(case, feeds, expected, got)
        assert verdict.holds == holds


def test_what_was_not_recorded_is_refused(recording: Recording) -> None:
    with pytest.raises(InputError, match="not among the recorded ones"):
        recording.expect({"x": np.ones((2, 3), np.float32)})


def test_a_recording_stays_below_its_bytes() -> None:
    recorded = record(REFERENCE, CASES, seconds=60, most_bytes=2000, most_cases=8)
    assert recorded
    assert sum(r.bytes for r in recorded) <= 2000


def test_a_bfloat16_output_is_written_and_read_back() -> None:
    signature = Signature.parse("x: bfloat16[n]\nwhere n = 1..8\n-> y: bfloat16[n]")
    same = Computes(signature, lambda x: x)
    case = Case((("n", 4),), "uniform", 0)
    recorded = record(Reference(same, same), [case], seconds=9)
    arrays = to_arrays(recorded)
    assert all(str(a.dtype) != "bfloat16" for a in arrays.values())
    (again,) = from_arrays([case], arrays, signature)
    assert again.expected.plain["y"].tobytes() == recorded[0].expected.plain["y"].tobytes()
