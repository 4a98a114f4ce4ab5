"""The page as people meet it: on a phone, in the dark, with the keyboard, on paper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.pages import enriched
from toolkit.report.html.page import page_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium.PROGRAM, reason="no Chromium here: apt-get install chromium"),
]

SCREENSHOTS = os.environ.get("ONNXPORT_SCREENSHOTS", "")
"""A folder, where one wants to look at them."""

EVERYTHING = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
MOMENT = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
"""Until what an event sets off has happened."""

WIDTHS = (360, 640, 900, 1280)

CONTRAST = """
(() => {
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parts = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  };
  const light = (color) => {
    const [r, g, b] = parts(color);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (parts(color)[3]) return color;
    }
    throw new Error('nothing is behind it');
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const bad = [];
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    seen += 1;
    if (ratio < 4.5) bad.push([element.outerHTML.slice(0, 100), ratio]);
  }
  return [seen, bad];
})()
"""
"""WCAG 2.2, 1.4.3: 4.5 to 1 for text; relative luminance as it is defined there."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_of(enriched()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page() -> Iterator[chromium.Page]:
    with chromium.browser() as tab:
        yield tab


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page(
    page: chromium.Page, file: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    page.open(file, width, dark=dark)
    page.evaluate(EVERYTHING)
    outside = """[...document.body.querySelectorAll('*')]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth)
        .map((e) => e.outerHTML.slice(0, 100))"""
    assert page.evaluate(outside) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    picture = folder / f"{width}-{'dark' if dark else 'light'}.png"
    page.screenshot(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(
    page: chromium.Page, file: Path, dark: bool
) -> None:
    page.open(file, dark=dark)
    page.evaluate(EVERYTHING)
    seen, bad = page.evaluate(CONTRAST)
    assert seen > 200
    assert bad == []


def test_it_asks_for_nothing_and_its_script_runs_without_an_error(
    page: chromium.Page, file: Path
) -> None:
    page.requested.clear()
    page.open(file)
    assert page.requested == [file.as_uri()]
    assert page.said == []


def test_the_script_draws_the_grid_that_was_there_before(page: chromium.Page, file: Path) -> None:
    cells = """[...document.querySelectorAll('.grid table')].map((table) =>
        [...table.rows].map((row) => [...row.cells].map((cell) =>
            [cell.innerHTML, cell.className, cell.dataset.outcome ?? ''])))"""
    page.open(file, scripts=False)
    before = page.evaluate(cells)
    page.open(file)
    page.evaluate(EVERYTHING)
    page.evaluate(MOMENT)
    assert page.evaluate(cells) == before
    assert page.evaluate("document.querySelectorAll('td[tabindex=\"0\"]').length") == len(before)


def test_without_a_script_there_is_no_button_that_does_nothing(
    page: chromium.Page, file: Path
) -> None:
    page.open(file, scripts=False)
    shown = (
        "[...document.querySelectorAll('button, select')].filter((e) => e.checkVisibility()).length"
    )
    assert page.evaluate(shown) == 0
    assert page.evaluate("document.querySelectorAll('td[data-outcome=differs]').length") > 0


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(
    page: chromium.Page, file: Path
) -> None:
    page.open(file)
    reached = []
    here = """(() => {
        const e = document.activeElement, style = getComputedStyle(e);
        return [e.tagName, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
    })()"""
    for _ in range(14):
        page.press("Tab", 9)
        reached.append(page.evaluate(here))
    assert [tag for tag, _ in reached] == [
        *["A"] * 3,
        *("SUMMARY", "BUTTON", "BUTTON", "SELECT", "SELECT", "TD"),
        *["BUTTON"] * 3,
        *("SUMMARY", "SUMMARY"),
    ]
    assert all(shown for _, shown in reached)


def test_arrow_keys_walk_over_the_grid_and_enter_tells_of_a_cell(
    page: chromium.Page, file: Path
) -> None:
    page.open(file)
    page.evaluate("document.querySelector('td[tabindex=\"0\"]').focus()")
    place = """(() => { const e = document.activeElement;
        return [e.parentElement.rowIndex, e.cellIndex, e.dataset.outcome ?? '']; })()"""
    row, column, outcome = page.evaluate(place)
    assert outcome == "differs"
    page.press("Enter", 13)
    told = page.evaluate("document.querySelector('.chosen').innerText")
    assert told.startswith("batch 5–8, tokens 129–256: ")
    assert "onnxport check sentence-encoder --case batch=" in told.replace("\n", " ")
    page.press("ArrowDown", 40)
    page.press("ArrowRight", 39)
    assert page.evaluate(place)[:2] == [row + 1, column + 1]
    page.press("Home", 36)
    assert page.evaluate(place)[:2] == [row + 1, 1]
    page.press("ArrowLeft", 37)  # headings are no cells
    assert page.evaluate(place)[:2] == [row + 1, 1]


def test_other_axes_show_the_same_cases(page: chromium.Page, file: Path) -> None:
    page.open(file)
    turn = """(value) => { const select = document.querySelector('[data-axis=across]');
        select.value = [...select.options].find((o) => o.text === value).value;
        select.dispatchEvent(new Event('change'));
        const axes = [...document.querySelectorAll('.grid select')].slice(0, 2)
            .map((s) => s.selectedOptions[0].text);
        const table = document.querySelector('.grid table');
        const cases = [...table.querySelectorAll('tbody td')].flatMap((c) => c.cases).length;
        return [...axes, cases, table.rows[0].cells.length - 1]; }"""
    assert page.evaluate(f"({turn})('values')") == ["values", "tokens", 128, 8]
    assert page.evaluate(f"({turn})('tokens')") == ["tokens", "values", 128, 11]
    assert page.evaluate(f"({turn})('batch')") == ["batch", "values", 128, 8]


def test_a_button_copies_the_command_beside_it(page: chromium.Page, file: Path) -> None:
    page.open(file)
    page.evaluate(
        """Object.defineProperty(navigator, 'clipboard', {value: {
            writeText: async (text) => { window.copied = text; } }})"""
    )
    page.evaluate("document.querySelector('.command button').click()")
    assert page.evaluate("document.querySelector('.command button').textContent") == "Copied"
    command = page.evaluate("window.copied")
    assert command == page.evaluate("document.querySelector('.command code').textContent")
    assert "\n" not in command


def test_a_button_selects_where_nothing_may_be_copied(page: chromium.Page, file: Path) -> None:
    page.open(file)
    page.evaluate(
        """Object.defineProperty(navigator, 'clipboard', {value: undefined});
        document.execCommand = () => false"""
    )
    page.evaluate("document.querySelector('.command button').click()")
    assert page.evaluate("document.querySelector('.command button').textContent") == "Selected"
    assert page.evaluate("getSelection().toString()").startswith("onnxport check sentence-encoder")


def test_a_link_to_something_closed_opens_it(page: chromium.Page, file: Path) -> None:
    page.open(file)
    page.evaluate("location.hash = 'm3-s1-grid'")
    page.evaluate(MOMENT)
    assert page.evaluate("document.getElementById('m3-s1').open") is True


def test_what_is_closed_is_printed_too(page: chromium.Page, file: Path) -> None:
    page.open(file)
    closed = "document.querySelectorAll('details:not([open])').length"
    before = page.evaluate(closed)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (before > 0, page.evaluate(closed)) == (True, 0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(closed) == before


def test_a_name_that_is_a_script_is_only_a_name(page: chromium.Page, tmp_path: Path) -> None:
    found = enriched()
    nasty = "<script>window.harmed = true</script><img src=x onerror='window.harmed = true'>"
    for model in found["models"]:
        model["name"] = nasty
        for stage in model["stages"]:
            stage["reason"] = nasty
            for failure in (stage["report"] or {"failures": ()})["failures"]:
                failure["reason"] = nasty
    path = tmp_path / "nasty.html"
    path.write_text(page_of(found), encoding="utf-8")
    page.requested.clear()
    page.open(path)
    page.evaluate("document.querySelectorAll('td.cell').forEach((cell) => cell.click())")
    assert page.evaluate("[window.harmed ?? null, document.images.length]") == [None, 0]
    assert nasty in page.evaluate("document.querySelector('.chosen').textContent")
    assert page.requested == [path.as_uri()]
