"""HTML made of values that are not trusted: everything is escaped unless this module wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

from labkit.call.durations import seconds

__all__ = ["Safe", "chip", "count", "document", "h", "join", "percent", "seconds", "stylesheet", "usd"]

_VOID = frozenset({"br", "img", "input"})


class Safe(str):
    """Markup that this module wrote; any other string is text."""

    __slots__ = ()


def h(tag: str, *children: Any, **attributes: Any) -> Safe:
    """Write one element.

    Args:
        tag: Element name, written here in the code, never data.
        children: ``Safe`` markup as it is, None left out, lists in turn, anything else as escaped text.
        attributes: ``class_`` and ``data_key`` become class and data-key; None and False are left out.
    """
    shown = "".join(
        _attribute(name.rstrip("_").replace("_", "-"), value)
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Safe(f"<{tag}{shown}>")
    return Safe(f"<{tag}{shown}>{join(children)}</{tag}>")


def join(children: Iterable[Any], between: str = "") -> Safe:
    """Put children one after the other."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Safe):
            parts.append(str(child))
        elif isinstance(child, (list, tuple)):
            parts.append(str(join(child)))
        else:
            parts.append(escape(_visible(str(child))))
    return Safe(escape(between).join(parts))


def chip(*children: Any, tone: str = "") -> Safe:
    return h("span", *children, class_=f"lk-chip {tone}".strip())


def document(title: str, body: Safe) -> str:
    """Write a page of its own: no script, no address, light and dark, readable on a phone."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(_visible(title))}</title><style>{stylesheet()}</style></head>"
        f'<body class="labkit-page"><main>{body}</main></body></html>\n'
    )


def stylesheet() -> str:
    return (files("labkit.views") / "static" / "labkit.css").read_text(encoding="utf-8")


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f}%"


def usd(value: float | None) -> str:
    """Write a cost; an unknown one is not nothing."""
    if value is None:
        return "cost unknown"
    return "$0" if value == 0 else f"${value:.5f}" if value < 0.01 else f"${value:.2f}"


def count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _attribute(name: str, value: Any) -> str:
    if value is True:
        return f" {name}"
    # what the browser sends back must be what it was given; what it shows must be seen
    text = str(value) if name.startswith("data-") else _visible(str(value))
    return f' {name}="{escape(text, quote=True)}"'


def _visible(text: str) -> str:
    """Show what cannot be seen: control and bidirectional characters could make a page say something else."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)
