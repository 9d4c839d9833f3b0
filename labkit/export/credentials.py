"""What looks like a secret in code or data that an export would publish. It is named, and never shown.

What the guard ``no_secrets`` knows is known here, by the same list. Beside it stands what only code can tell: the name
of the parameter, variable or key that a text is given to.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.call.guards.reading import read
from labkit.call.guards.secret_forms import credentials_in, has_key_letters, is_placeholder, is_random

__all__ = ["Suspect", "secret_in", "secret_in_data", "secrets_in_code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A literal or a comment that looks like a secret.

    Args:
        line: Of the source, from 1.
        what: "github-token", "what is given to `api_key`".
    """

    line: int
    what: str


def secret_in(text: str) -> str | None:
    """Say what in *text* looks like a secret; None when nothing does."""
    kind = next((kind for kind, _ in credentials_in(read(text).text)), None)
    if kind is not None:
        return kind
    names = (name for name, value in _PAIR.findall(text) if _is_secret(name, value))
    return next((f"what stands behind `{name}=`" for name in names), None)


def secret_in_data(value: Any) -> str | None:
    """Say what in *value*, JSON data, looks like a secret."""
    if isinstance(value, str):
        return secret_in(value)
    if isinstance(value, list):
        return next((found for item in value if (found := secret_in_data(item)) is not None), None)
    for key, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, str) and _is_secret_entry(key, item):
            return f"what is given to `{key}`"
        if (found := secret_in_data(key) or secret_in_data(item)) is not None:
            return found
    return None


def secrets_in_code(node: ast.AST, source: str, first_line: int) -> Iterator[Suspect]:
    """Look through a statement.

    Args:
        node: Its lines count from the beginning of its cell or file.
        source: Its text with the comments above and beside it.
        first_line: Where *source* begins.
    """
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(text := _decoded(part.value), str):
            found = secret_in(text)
            if found is not None:
                yield Suspect(line=part.lineno, what=found)
        for name, line in _given(part):
            yield Suspect(line=line, what=f"what is given to `{name}`")
    for line, comment in _comments(source):
        if (kind := next((kind for kind, _ in credentials_in(comment)), None)) is not None:
            yield Suspect(line=first_line + line - 1, what=f"{kind} in a comment")


# --- by name ----------------------------------------------------------------------------------------------------------

# What somebody calls a secret and nothing else, and what a secret shares its name with.
_SECRET_NAME = re.compile(
    r"(?i)(?:(?:api|access|secret|private|signing|encryption|account|subscription)[_\- ]?key"
    r"|(?<![a-z])(?:pass|pwd|pw)|password|passwd|passphrase|passwort"
    r"|(?:client|app|auth|webhook|jwt|signing)[_\- ]?secret"
    r"|(?:auth|access|bearer|refresh|api|bot)[_\- ]?token|credentials?)$"
)
_TOKEN_NAME = re.compile(r"(?i)(?:token|secret)$")
_KEY_NAME = re.compile(r"(?i)(?<![a-z])(?:key|auth|authorization)$")
# No secret: the name of a variable or of an attribute, and what servers without keys are given.
_STAND_IN = re.compile(
    r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z_]+(?:\.[a-z_]+)+|(?:(?:api|access|auth)[_\-]?)?(?:key|token|secret|password)"
    r"|(?i:none|null|empty|n/?a|unused|unset|unknown|missing|not[-_]?(?:needed|required|used|set)"
    r"|no[-_]?(?:api[-_]?)?(?:key|auth|token)|sk-no-key-required|ollama|lm-studio|local(?:host)?|anything|nothing"
    r"|test(?:ing)?|fake|mock|guest|postgres|admin|optional|required|bearer|basic|string|str)"
)
_NO_PART_OF_ONE = re.compile(r"[\s\\{}<>%$]")  # of prose, or of a text that something is yet to be put into
_PAIR = re.compile(
    r"(?<![A-Za-z0-9_\-])([A-Za-z][A-Za-z0-9_\-]{1,60})=([A-Za-z0-9!@#^*_\-+./~]{6,200}+)(?![(\[{<%$\\])"
)


def _is_secret(name: str, value: str) -> bool:
    """Whether *value*, given to something called *name*, was meant to be secret.

    What is written down as ``api_key`` or ``password`` needs no digit to be one. What is called ``token`` or
    ``..._key`` may well be a word of the text or a column, and has to look as if a machine had drawn it.
    """
    value = value.strip()
    if is_placeholder(value) or _STAND_IN.fullmatch(value) or _NO_PART_OF_ONE.search(value):
        return False
    if _SECRET_NAME.search(name):
        return len(value) >= 6
    if _TOKEN_NAME.search(name):
        return len(value) >= 10 and is_random(value, bits=2.5)
    is_drawn = len(value) >= 16 and is_random(value, bits=3.0) and has_key_letters(value)
    return is_drawn and _KEY_NAME.search(name) is not None


def _is_secret_entry(name: str, value: str) -> bool:
    """As ``_is_secret``, where *name* may also be a word that is looked for, and *value* what it stands for."""
    is_word = value.islower() and not re.search(r"[0-9]", value)
    return not is_word and not value.istitle() and _is_secret(name, value)


_Judge = Callable[[str, str], bool]


def _given(node: ast.AST) -> Iterator[tuple[str, int]]:
    """What in *node* is given a text and named like a secret, and the line of that text."""
    for name, value, is_secret in _givings(node):
        for text, line in _texts(value):
            if is_secret(name, text):
                yield name, line


def _givings(node: ast.AST) -> Iterator[tuple[str, ast.expr, _Judge]]:
    match node:
        case ast.Assign():
            yield from ((_name(target), node.value, _is_secret) for target in node.targets)
        case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
            yield _name(node.target), value, _is_secret
        case ast.keyword(arg=str() as name, value=ast.Tuple(elts=[_, second])) if name.endswith("auth"):
            yield "password", second, _is_secret
        case ast.keyword(arg=str() as name):
            yield name, node.value, _is_secret
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value, _is_secret_entry
        case ast.arguments():
            positional = [*node.posonlyargs, *node.args]
            defaults = zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True)
            yield from ((arg.arg, default, _is_secret) for arg, default in defaults)
            named = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            yield from ((arg.arg, default, _is_secret) for arg, default in named if default is not None)
        case ast.Call(func=function, args=[given]) if _name(function) in ("SecretStr", "SecretBytes"):
            yield "password", given, _is_secret
        case ast.Call(args=[ast.Constant(value=str() as name), given, *_]):  # os.getenv("API_KEY", "...")
            yield name, given, _is_secret_entry


def _texts(value: ast.expr) -> Iterator[tuple[str, int]]:
    """The literals that *value* may turn out to be."""
    match value:
        case ast.Constant():
            if isinstance(text := _decoded(value.value), str):
                yield text, value.lineno
        case ast.BoolOp():
            for part in value.values:
                yield from _texts(part)
        case ast.IfExp():
            yield from _texts(value.body)
            yield from _texts(value.orelse)
        case ast.Call(func=ast.Attribute(value=inner)):  # "...".strip()
            yield from _texts(inner)


def _name(target: ast.expr) -> str:
    match target:
        case ast.Name():
            return target.id
        case ast.Attribute():
            return target.attr
        case ast.Subscript(slice=ast.Constant(value=str() as key)):
            return key
    return ""


def _decoded(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _comments(source: str) -> Iterator[tuple[int, str]]:
    lines = io.StringIO(source).readline
    try:
        yield from ((t.start[0], t.string) for t in tokenize.generate_tokens(lines) if t.type == tokenize.COMMENT)
    except (tokenize.TokenError, SyntaxError):  # a piece of a line: then all of it is looked at
        yield 1, source
