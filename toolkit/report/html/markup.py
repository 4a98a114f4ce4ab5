"""Elements of HTML. Whatever is not markup already is escaped: there is no way to forget it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

_VOID = ("meta", "br", "wbr")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters are no text in HTML (13.2.3.5), and a lone surrogate has no UTF-8."""


class Html(str):
    """Markup, as `tag` and `joined` make it."""

    __slots__ = ()


def text(value: object) -> Html:
    """Anything as text."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(_UNPRINTABLE.sub("\ufffd", str(value))))


def joined(parts: Iterable[object], between: str = "") -> Html:
    return Html(between.join(map(text, parts)))


def tag(name: str, /, *children: object, **attributes: Any) -> Html:
    """`tag("a", "text", href="#m1")`; an attribute that is True stands alone, None is left out.

    `class_` and `for_` are class and for; other underscores are hyphens.
    """
    shown = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.rstrip("_").replace("_", "-")
        shown += f" {written}" if value is True else f' {written}="{text(value)}"'
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{joined(children)}</{name}>")


def code(words: str) -> Html:
    """What one types: broken after a comma and not within an option; copied without breaks."""
    return tag(
        "code",
        *(
            tag("span", part, class_="word")
            if part.startswith("--")
            else joined(part.split(","), f",{tag('wbr')}")
            for part in re.split(r"(?<!\S)(--[\w-]+)", words)
        ),
    )


def data(value: Any, **attributes: Any) -> Html:
    """JSON that a script reads; nothing in it ends the element."""
    found = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    for special in "<>&":
        found = found.replace(special, f"\\u{ord(special):04x}")
    return tag("script", Html(found), type="application/json", **attributes)
