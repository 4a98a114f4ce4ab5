"""What a check found: immutable, printable, and the same for the same seed but for the timings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from toolkit.parity.cases import Case
from toolkit.parity.comparators import Meaning
from toolkit.parity.fidelity import Fidelity
from toolkit.parity.flaw import Flaw
from toolkit.parity.located import Located
from toolkit.parity.repeating import Repeated
from toolkit.parity.verdict import Judgement
from toolkit.signature import Signature

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class CaseResult:
    """One case: a judgement for each output, or the reason why there is none."""

    case: Case
    judgements: tuple[Judgement, ...] = ()
    problem: str = ""
    seconds: float = 0.0
    excused: str = ""
    """Why a departure here is no difference: neither a failure nor proven."""
    only_where: str = ""
    """Of a failure: the mask whose zeros are the only positions that depart."""

    @property
    def proven(self) -> bool:
        good = not self.problem and all(j.holds for j in self.judgements)
        return good and not self.excused

    @property
    def holds(self) -> bool:
        """Proven, or excused."""
        return bool(self.excused) or self.proven

    @property
    def ratio(self) -> float:
        return max((j.ratio for j in self.judgements), default=0.0)

    @property
    def rounding(self) -> bool:
        """Proven on appeal: see `Judgement.rounding`."""
        return any(j.rounding for j in self.judgements)

    @property
    def reason(self) -> str:
        """Why it does not hold, in one line."""
        bad = next((j for j in self.judgements if not j.holds), None)
        if bad is None:
            return self.problem
        far = f", {bad.ratio:.3g}x the error that float32 accounts for" if bad.ratio < 1e300 else ""
        return f"'{bad.output}' {bad.reason}{far}"


@dataclass(frozen=True)
class Measures:
    """One floating output over all cases that count: `toolkit.parity.metrics` says what each is."""

    output: str
    ratio: float
    """The largest error over what float32 accounts for."""
    ulps: float
    max_abs: float
    max_rel: float
    sqnr: float
    """In dB, over all elements of all cases; and so is the cosine."""
    cosine: float
    top1: float | None
    """Share of rows along the last axis with the same largest entry; None where there are none."""
    top5: float | None
    kl: float | None
    """In nats, of the worst row; None where rows are no probabilities."""
    worst_case: str
    worst_index: tuple[int, ...]

    def __str__(self) -> str:
        parts = [
            f"'{self.output}' {self.ulps:.3g} ulps, {self.max_abs:.2g} absolute, {self.max_rel:.2g}"
            f" relative, {self.sqnr:.0f} dB, cosine {self.cosine:.6g}"
        ]
        if self.top1 is not None:
            parts.append(f"top-1 {_percent(self.top1)}")
        if self.top5 is not None:
            parts.append(f"top-5 {_percent(self.top5)}")
        if self.kl is not None:
            parts.append(f"KL {self.kl:.2g}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Invariance:
    """Another way to the same answer (`toolkit.parity.invariance`): does the candidate take it?"""

    name: str
    tried: int = 0
    """Times that the original's answer was the same both ways, and the candidate was asked."""
    lacking: int = 0
    """Times that the original's was not."""
    ratio: float = 0.0
    """The largest error of the candidate's over what float32 accounts for."""
    sqnr: float = float("inf")
    """Of a lossy candidate: the least signal to noise ratio between its own two answers, in dB."""
    reason: str = ""
    """Why it does not hold, in one line."""

    def __str__(self) -> str:
        return f"{self.name} ({self.tried} asked, {self._far})"

    @property
    def _far(self) -> str:
        if isfinite(self.sqnr):
            return f"to {self.sqnr:.0f} dB"
        return f"{self.ratio:.2g}x"


_LACKING = {
    "batch": "rows of the original depend on those beside them",
    "padding": "masked positions change what the original returns for the others",
    "state": "one run of the original is not its parts with the state carried",
}


def _percent(share: float) -> str:
    """100 % only where it is all."""
    return "100 %" if share == 1.0 else f"{min(99.99, 100 * share):.2f} %"


@dataclass(frozen=True)
class ParityReport:
    """The verdict on a candidate over a domain, and everything that it rests on."""

    candidate: str
    reference: str
    signature: Signature
    device: str
    results: tuple[CaseResult, ...]
    unreached: tuple[Case, ...] = ()
    """Planned and not run: the time budget ended first."""
    problems: tuple[str, ...] = ()
    """What is wrong apart from any case: a missing input, a vacuous reference."""
    flaws: tuple[Flaw, ...] = ()
    """Those of the problems that are of one place in the file."""
    notes: tuple[str, ...] = ()
    scales: Mapping[str, float] = field(default_factory=dict)
    """The largest magnitude that each output reached in the reference."""
    fidelity: tuple[Fidelity, ...] = ()
    """Of a lossy candidate: what it was judged by, instead of the error of float32."""
    measures: tuple[Measures, ...] = ()
    meanings: tuple[Meaning, ...] = ()
    """What the differences come to, of the outputs that are of a kind."""
    invariances: tuple[Invariance, ...] = ()
    """What must not depend on how the candidate is asked; what fails is a problem as well."""
    repeated: tuple[Repeated, ...] = ()
    """The original against itself: run-to-run noise, and what TF32 would cost."""
    smallest: CaseResult | None = None
    """The simplest case found that fails as the first failure does."""
    located: Located | None = None
    """Of a failure: where it departs from its reference, as far as that was found."""

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        return tuple(r for r in self.results if not r.holds)

    @property
    def holds(self) -> bool:
        proven = any(r.proven for r in self.results)
        return proven and not self.problems and not self.failures

    @property
    def exit_code(self) -> int:
        return 0 if self.holds else 1

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and a word on cases that hold only because the graph is right in float64."""
        notes = [*self.notes]
        if rounded := [r for r in self.results if r.proven and r.rounding]:
            worst = max(rounded, key=lambda r: r.ratio)
            notes.append(
                f"in {len(rounded)} cases the runtime rounds up to {worst.ratio:.3g}x as much as"
                f" PyTorch ({worst.case}); the graph itself is right there, evaluated in float64"
            )
        notes += self._padding()
        notes += [_LACKING[i.name] for i in self.invariances if i.lacking and not i.tried]
        for why in dict.fromkeys(r.excused for r in self.results if r.excused):
            same = [r.case for r in self.results if r.excused == why]
            count = (
                f"{len(same)} cases are not counted" if len(same) > 1 else "a case is not counted"
            )
            notes.append(f"{count}: {why} ({same[0]})")
        return tuple(notes)

    def _padding(self) -> list[str]:
        """What to say in the signature where all failures are at masked positions."""
        masks = {r.only_where for r in self.failures}
        if len(masks) != 1 or masks == {""}:
            return []
        mask = masks.pop()
        bad = dict.fromkeys(j.output for r in self.failures for j in r.judgements if not j.holds)
        said = "; ".join(f"{output} valid where {mask}" for output in bad)
        return [
            f"departs only where '{mask}' is 0; if those positions mean nothing, say so in the"
            f" signature: {said}"
        ]

    @property
    def worst(self) -> CaseResult | None:
        """Of the cases that are not excused; one that holds on appeal where there is no other."""
        counted = (r for r in self.results if not r.excused)
        return max(counted, key=lambda r: (not r.rounding, r.ratio), default=None)

    @property
    def reason(self) -> str:
        """Why it does not hold, in one line: the first failing case, else the first problem."""
        if self.problems:
            return self.problems[0]
        if self.failures:
            first = self.failures[0]
            return f"{first.reason} ({first.case})"
        if not self.results:
            return "no case was run"
        return "" if self.holds else f"nothing was proven: {self.results[0].excused}"

    @property
    def summary(self) -> str:
        """In one line: `holds on 128 cases (batch all of 1..64), worst error ...`, or why not."""
        if not self.holds:
            return self.reason
        domain = f" ({self.coverage})" if self.coverage else ""
        told = f"holds on {sum(r.proven for r in self.results)} cases{domain}"
        if self.fidelity or self.worst is None:
            return told
        return f"{told}, worst error {self.worst.ratio:.2g}x that of float32"

    @property
    def covered(self) -> dict[str, tuple[int, ...]]:
        """The sizes of each dimension at which it was run and holds."""
        return {
            dim.name: tuple(
                sorted({dict(r.case.sizes)[dim.name] for r in self.results if r.proven})
            )
            for dim in self.signature.dims
        }

    @property
    def coverage(self) -> str:
        """`batch all of 1..64, tokens 31 sizes in 1..512`"""
        parts = []
        for dim in self.signature.dims:
            sizes = self.covered[dim.name]
            if len(sizes) == len(dim.legal):
                parts.append(f"{dim.name} all of {dim.low}..{dim.high}")
            elif sizes:
                parts.append(f"{dim.name} {len(sizes)} sizes in {sizes[0]}..{sizes[-1]}")
        return ", ".join(parts)

    @property
    def errors(self) -> dict[str, float]:
        """The largest error of each output in any case, over what float32 accounts for."""
        found: dict[str, float] = {}
        for judged in (j for r in self.results for j in r.judgements):
            found[judged.output] = max(found.get(judged.output, 0.0), judged.ratio)
        return found

    def to_dict(self) -> dict[str, Any]:
        worst, least = self.worst, self.smallest
        return {
            "holds": self.holds,
            "candidate": self.candidate,
            "reference": self.reference,
            "device": self.device,
            "signature": str(self.signature),
            "cases": len(self.results),
            "proven": sum(r.proven for r in self.results),
            "covered": {name: ranges(sizes) for name, sizes in self.covered.items()},
            "unreached": [str(c) for c in self.unreached],
            "worst": {"case": str(worst.case), "ratio": _number(worst.ratio)} if worst else None,
            "ratios": {str(r.case): _number(r.ratio) for r in self.results},
            "errors": {name: _number(ratio) for name, ratio in self.errors.items()},
            "scales": dict(self.scales),
            "outputs": _records(self.measures),
            "meanings": _records(self.meanings),
            "invariances": _records(self.invariances),
            "repeated": _records(self.repeated),
            "fidelity": _records(self.fidelity),
            "reason": self.reason,
            "failures": [
                {
                    "case": str(r.case),
                    "reason": r.reason,
                    "only_where": r.only_where,
                    "outputs": {j.output: _number(j.error) for j in r.judgements if not j.holds},
                }
                for r in self.failures
            ],
            "smallest": {"case": str(least.case), "reason": least.reason} if least else None,
            "excused": [{"case": str(r.case), "why": r.excused} for r in self.results if r.excused],
            "problems": list(self.problems),
            "located": self.located.to_dict() if self.located else None,
            "notes": list(self.remarks),
        }


def ranges(numbers: Iterable[int]) -> str:
    """`1..3, 5, 8..9` for 1, 2, 3, 5, 8, 9 (ascending)."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{r[0]}..{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def _records(rows: Iterable[DataclassInstance]) -> list[dict[str, Any]]:
    return [{name: _number(value) for name, value in asdict(row).items()} for row in rows]


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become text."""
    return value if not isinstance(value, float) or isfinite(value) else str(value)
