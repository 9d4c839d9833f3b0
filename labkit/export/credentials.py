"""What looks like a secret, in code or in data. Only its beginning is ever shown."""

from __future__ import annotations

import ast
import re

__all__ = ["secret_given_in", "secret_in"]


def secret_in(text: str) -> str | None:
    """The beginning of something in *text* that has the form of a credential; None when there is nothing."""
    match = _FORMS.search(text)
    return None if match is None else match.group()[:6]


def secret_given_in(node: ast.AST) -> str | None:
    """The beginning of a string literal in *node* that is given to something named like a secret."""
    for part in ast.walk(node):
        for name, value in _given(part):
            if _NAME.search(name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                text = value.value
                if len(text) >= 10 and re.search(r"[0-9]", text) and re.search(r"[A-Za-z]", text) and " " not in text:
                    return text[:4]
    return None


def _given(node: ast.AST) -> list[tuple[str, ast.expr | None]]:
    match node:
        case ast.Assign():
            return [(ast.unparse(target), node.value) for target in node.targets]
        case ast.AnnAssign():
            return [(ast.unparse(node.target), node.value)]
        case ast.keyword():
            return [(node.arg or "", node.value)]
        case ast.Dict():
            items = zip(node.keys, node.values, strict=True)
            return [(str(key.value), value) for key, value in items if isinstance(key, ast.Constant)]
    return []


_NAME = re.compile(r"(?i)(api_?key|secret|passw(or)?d|(^|_|\.)token|credential|auth_?token)\w*['\"\]]*$")
_FORMS = re.compile(
    r"\b(sk|pk|rk)-[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20}"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\bhf_[A-Za-z0-9]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b[a-z][a-z0-9+.-]*://[^\s/:@{}<>'\"]+:[^\s/@{}<>'\"]+@"
)
