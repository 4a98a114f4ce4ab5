"""Who agrees with whom: the reports of several subjects, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.parity.results import ParityReport


@dataclass(frozen=True)
class Matrix:
    """A report for each pair of subjects, by their places: (candidate, original)."""

    subjects: tuple[str, ...]
    reports: Mapping[tuple[int, int], ParityReport]

    @property
    def holds(self) -> bool:
        return all(report.holds for report in self.reports.values())

    @property
    def exit_code(self) -> int:
        return 0 if self.holds else 1

    def between(self, one: int, other: int) -> ParityReport | None:
        return self.reports.get((one, other)) or self.reports.get((other, one))

    @property
    def groups(self) -> list[list[int]]:
        """Those that agree with one another, the largest group first."""
        groups: list[list[int]] = []
        for place in range(len(self.subjects)):
            for group in groups:
                if all((r := self.between(place, other)) and r.holds for other in group):
                    group.append(place)
                    break
            else:
                groups.append([place])
        return sorted(groups, key=len, reverse=True)

    def to_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "subjects": list(self.subjects),
            "agree": self.groups,
            "pairs": [
                {"candidate": i, "original": j, **report.to_dict()}
                for (i, j), report in self.reports.items()
            ],
        }
