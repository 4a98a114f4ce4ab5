"""What the tests of every architecture share: ship a small one and see that it holds everywhere."""

from pathlib import Path

import toolkit
from toolkit.pipeline.ship import Bundle


def shipped(source: str, folder: Path, *, budget: float = 4.0) -> Bundle:
    """The bundle of `zoo:NAME,argument=value`, which held wherever its signature goes."""
    bundle = toolkit.ship(source, folder / "bundle", budget=budget)
    report = bundle.exported.report
    assert report.holds, report.reason
    for dim in report.signature.dims:
        sizes = report.covered[dim.name]
        assert {dim.low, dim.legal[-1]} <= set(sizes), f"{dim.name} was checked at {sizes}"
    return bundle
