"""The page, read again by a parser."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import toolkit
from tests.pages import encoder, enriched, everything
from tests.projects import model, parity, report, stage
from toolkit.project.results import Failure
from toolkit.report.html.grid import DIFFERS, HOLDS, MOST, domain
from toolkit.report.html.page import page, page_of
from toolkit.signature import Signature

VOID = {"meta", "br", "wbr"}


class Read(HTMLParser):
    """Every element with its attributes, and all text; complains where one is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


PAGE = page(everything())


def test_every_id_is_unique_and_every_label_and_link_names_one() -> None:
    found = Read(PAGE)
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["for"] for a in found.all("label")} == {a["id"] for a in found.all("select")}
    links = {a["href"] for a in found.all("a")}
    assert links == {f"#{name}" for name in ("m1", "m2", "m3")} <= {f"#{name}" for name in ids}


def test_nothing_outside_of_the_file_is_named() -> None:
    found = Read(PAGE)
    names = {name for _, attributes in found.elements for name in attributes}
    assert not names & {"src", "srcset", "action", "background", "data", "poster"}
    assert not {tag for tag, _ in found.elements} & {"link", "img", "iframe", "object", "base"}
    assert not re.search(r"https?:|url\(|@import", PAGE)
    (policy,) = [a["content"] for a in found.all("meta") if "http-equiv" in a]
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha")


def test_no_element_has_a_script_of_its_own() -> None:
    names = {name for _, attributes in Read(PAGE).elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]


@pytest.mark.parametrize(
    "nasty", ["<script>alert(1)</script>", "\"'><b>", "</script><b>", "&lt;b&gt;"]
)
def test_any_name_is_text(nasty: str) -> None:
    plain, found = Read(page(everything())), Read(page(everything(nasty)))
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in plain.elements]
    assert nasty in found.text


def test_what_a_page_cannot_hold_is_replaced() -> None:
    found = page(report(model(stage(Failure("\x00\x1b[31m \ud800 ä", "", 3)))))
    assert "\ufffd\ufffd[31m \ufffd ä" in found
    assert found.encode()


def test_style_and_script_come_with_the_package() -> None:
    root = Path(toolkit.__file__).parent
    project = tomllib.loads((root.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["toolkit"]
    packed = {path for pattern in patterns for path in root.glob(pattern)}
    assert {p for p in root.rglob("*") if p.suffix in (".css", ".js", ".typed")} == packed


def test_the_same_report_is_the_same_page() -> None:
    assert page(everything()) == PAGE


def test_a_report_read_back_from_json_is_the_same_page() -> None:
    assert page_of(json.loads(json.dumps(everything().to_dict()))) == PAGE


def test_the_worst_model_comes_first() -> None:
    assert re.findall(r"<h2>([^<]+)</h2>", PAGE) == [
        "sentence-encoder",
        "small",
        "good",
        "Environment",
    ]
    assert "1 of 3 models hold" in Read(PAGE).text


def test_what_holds_is_closed_and_what_does_not_is_open() -> None:
    stages = [a for a in Read(PAGE).all("details") if "id" in a]
    assert [a["id"] for a in stages if "open" in a] == ["m1-s1", "m1-s3", "m2-s1"]
    assert len(stages) == 6


@pytest.mark.parametrize(
    "told",
    [
        *("89 of 125 cases hold", "81,000x", "90.9 MB", "0.74x PyTorch’s time", "90.8 MB"),
        *("no CUDA device here", "pass --device cpu", "nothing to simplify"),
        *("Could not guard on data-dependent expression u0 > 3", "31.2 dB", "99.62 %"),
        *(
            "was",
            "1.0 kB",
            "onnxport check --update small",
            "only the lock has: old",
            "torch 2.13.0",
        ),
        "onnxport check sentence-encoder --case batch=1, tokens=512, fill=uniform, seed=9",
    ],
)
def test_says(told: str) -> None:
    assert told in Read(PAGE).text


@pytest.mark.parametrize(
    "told",
    [
        *("/layers.3/attention/Slice (Slice)", "layers.3.attention", "model.py:41", "aten.slice"),
        "--case 'batch=1, tokens=129, fill=zeros, seed=0, mask[0, 2]=1'",
        *("wrong before any other stage", "reduced/reproduce.py", "is 1, expected 2"),
        *("4.2e+06", "99.99 %", "[0, 129, 17]", "not counted", "layers.2", "∞"),
        *("Quantization sensitivity", "22.2 dB"),
    ],
)
def test_says_where_and_why_if_it_is_known(told: str) -> None:
    assert told in Read(page_of(enriched())).text


def test_layers_with_more_noise_have_longer_bars() -> None:
    text = page_of(enriched())
    bars = re.findall(r"<th scope=\"row\">(conv1|fc)</th>.*?--share:([\d.]+)%", text)
    assert bars == [("conv1", "58.5"), ("fc", "77.8")]


def test_of_many_layers_the_worst_come_first() -> None:
    found = enriched()
    located = found["models"][2]["stages"][0]["report"]["located"]
    located["profile"] = [
        {"module": f"layers.{n}", "ratio": n % 40, "sqnr": None} for n in range(99)
    ]
    told = Read(page_of(found)).text
    assert "Error by layer: the worst" in told
    assert told.index("layers.39") < told.index("All 99 layers") < told.index("layers.0 ")


def test_every_case_has_one_place_on_the_grid() -> None:
    found = encoder()
    drawn = domain(found.to_dict())
    told = [spot.case for spot in drawn.spots]
    assert told == [str(case) for case in [*(r.case for r in found.results), *found.unreached]]
    for spot in drawn.spots:
        sizes = dict(part.split("=") for part in spot.case.split(","))
        for at, axis in zip(spot.at[:2], drawn.axes, strict=False):
            low, _, high = axis.bins[at].partition("–")
            assert int(low) <= int(sizes[axis.name]) <= int(high or low)


def test_axes_are_those_that_tell_failures_apart() -> None:
    """tokens alone says which fail: the pair has no cell in which some hold and some do not."""
    drawn = domain(encoder(right_up_to=128).to_dict())
    across, down = drawn.best()
    assert down is not None
    assert "tokens" in (drawn.axes[across].name, drawn.axes[down].name)
    cells = drawn.cells(across, down).values()
    assert not [c for c in cells if {HOLDS, DIFFERS} <= {spot.outcome for spot in c}]


@pytest.mark.parametrize(
    "where",
    [
        *("n = 1..8", "n = 1..13", "n = 0..40", "n = 1..512", "n = 100..160", "n = 1..1000000"),
        *("n = 32..512 step 32", "n = {1, 2, 7}"),
    ],
)
def test_intervals_of_a_dimension_hold_each_size_once_and_its_ends_stand_alone(where: str) -> None:
    signature = Signature.parse(f"x: float32[n, 2]\nwhere {where}")
    record = {"signature": str(signature), "failures": [], "ratios": {}, "unreached": []}
    bins = domain(record).axes[0].bins
    spans = [tuple(map(int, (b.split("–") * 2)[:2])) for b in bins]
    assert len(bins) <= MOST
    assert all(a <= b for a, b in spans)
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
    legal = signature.dims[0].legal
    assert (spans[0], spans[-1]) == ((legal[0],) * 2, (legal[-1],) * 2)
    assert all(sum(a <= n <= b for a, b in spans) == 1 for n in legal if n < 2000)


def test_a_model_without_dimensions_is_drawn_over_what_was_filled_in() -> None:
    record = {
        "signature": "x: float32[2]",
        "failures": [{"case": "fill=zeros,seed=1"}],
        "ratios": {"fill=uniform,seed=0": 0.5, "fill=zeros,seed=1": "inf"},
        "unreached": [],
    }
    drawn = domain(record)
    assert drawn.axes[0].bins == ("uniform", "zeros")
    assert drawn.best() == (0, None)
    assert [(spot.outcome, spot.ratio) for spot in drawn.spots] == [
        (HOLDS, "0.5x"),
        (DIFFERS, "∞"),
    ]


def test_a_case_that_is_a_file_has_no_place_but_is_told() -> None:
    found = report(model(stage(parity(9.0, holds=False)))).to_dict()
    checked = found["models"][0]["stages"][0]["report"]
    checked["ratios"], checked["failures"][0]["case"] = {"failing.npz": 9.0}, "failing.npz"
    assert domain(checked).spots == ()
    assert "failing.npz" in page_of(found)


def test_a_single_case_or_none_is_a_page_too() -> None:
    assert "no case was run" in page(report(model(stage(replace(parity(), results=())))))
