"""Placeholders that are none: a prompt that was written for another way of filling it asks everybody the same.

``{ input.text }``, ``{text}``, ``$text``, ``%(text)s`` and ``<text>`` are plain text to a template. Nothing fails then,
and the model answers a question that does not hold the input.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydantic
from jinja2 import nodes

from labkit.errors import LabkitWarning

__all__ = ["warn_of_slips"]

_PACKAGE = str(Path(__file__).resolve().parent.parent)

_BRACES = re.compile(r"(?<![{$%\w])\{\s*([A-Za-z_][\w.]*)\s*(?:![rsa])?\s*\}(?!\})")
_ELSEWHERE = (
    re.compile(r"\$\{\s*([A-Za-z_][\w.]*)\s*\}"),
    re.compile(r"(?<![\w$])\$([A-Za-z_]\w*)"),
    re.compile(r"%\(([A-Za-z_]\w*)\)[sdr]"),
    re.compile(r"<<?\s*([A-Za-z_][\w.]*)\s*>>?"),
    re.compile(r"\[\[?\s*([A-Za-z_][\w.]*)\s*\]\]?"),
    re.compile(r"(?<![\w%])(%s)(?!\w)"),
)


def warn_of_slips(
    trees: Sequence[nodes.Template], input_type: type[pydantic.BaseModel], *, sends_itself: bool = False
) -> None:
    """Warn, as ``LabkitWarning``, of a prompt whose messages never hold the input, and of placeholders that are none.

    Args:
        trees: The templates of the prompt.
        sends_itself: The input goes along unnamed, as pictures do.
    """
    fields = list(input_type.model_fields)
    if not fields:
        return
    names = {node.name for tree in trees for node in tree.find_all(nodes.Name)}
    texts = [data.data for tree in trees for data in tree.find_all(nodes.TemplateData)]
    if not names & {"input", "context"}:
        slip = next(_slips(texts, fields, forms=(_BRACES, *_ELSEWHERE)), None)
        if slip is not None:
            _warn(f"the prompt never uses the input: {_mend(*slip, fields)}")
        elif not sends_itself:
            _warn(
                f"the prompt never uses the input, so that every call asks the same: write {{{{ input.{fields[0]} }}}} "
                "where it is to stand"
            )
        return
    used = _used(trees, fields)
    for said, name in _slips(texts, fields, forms=(_BRACES,)):
        if name.startswith(("input.", "context.")) or name == "input" or name not in used:
            _warn(f"the prompt holds what looks like a placeholder: {_mend(said, name, fields)}")


def _slips(
    texts: Sequence[str], fields: Sequence[str], *, forms: Sequence[re.Pattern[str]]
) -> Iterator[tuple[str, str]]:
    """Give what looks like a placeholder of the input, and the name in it."""
    for form in forms:
        for text in texts:
            for found in form.finditer(text):
                name = found[1]
                if name in ("input", "%s", *fields) or name.startswith(("input.", "context.")):
                    yield found[0], name


def _mend(said: str, name: str, fields: Sequence[str]) -> str:
    if name in ("input", "%s"):
        name = f"input.{fields[0]}"
    elif name in fields:
        name = f"input.{name}"
    return f"`{said}` is no placeholder: write {{{{ {name} }}}}"


def _used(trees: Sequence[nodes.Template], fields: Sequence[str]) -> set[str]:
    """Give the fields that a template reads; all of them where it takes the input as a whole."""
    read: set[str] = set()
    by_name = 0
    for tree in trees:
        reading: Any = tree.find_all((nodes.Getattr, nodes.Getitem))
        for reference in reading:
            if not (isinstance(reference.node, nodes.Name) and reference.node.name == "input"):
                continue
            by_name += 1
            if isinstance(reference, nodes.Getattr):
                read.add(reference.attr)
            elif isinstance(reference.arg, nodes.Const):
                read.add(str(reference.arg.value))
            else:
                return set(fields)
    whole = sum(node.name == "input" for tree in trees for node in tree.find_all(nodes.Name)) > by_name
    return set(fields) if whole else read


def _warn(said: str) -> None:
    """Warn at the line of whoever defines the call."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(said, LabkitWarning, stacklevel=level)
