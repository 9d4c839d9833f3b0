"""How people write definitions and examples into a prompt, and what is understood of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "INPUT_NAMES",
    "OUTPUT_NAMES",
    "SECTION_NAMES",
    "Example",
    "Notes",
    "Vocabulary",
    "as_value",
    "fold",
    "marker",
    "read_notes",
    "unquote",
]

INPUT_NAMES = frozenset([
    "input", "text", "query", "question", "q", "ticket", "message", "utterance", "sentence", "review", "email",
    "document", "user", "customer", "request", "case", "content", "body", "comment", "title", "subject", "post",
    "tweet", "statement", "passage", "article", "complaint", "item", "phrase", "prompt",
])  # fmt: skip
OUTPUT_NAMES = frozenset([
    "output", "answer", "a", "label", "intent", "category", "class", "result", "json", "response", "assistant",
    "expected", "completion", "sentiment", "topic", "tag", "classification",
])  # fmt: skip
SECTION_NAMES = frozenset([
    "example", "examples", "shot", "shots", "label", "labels", "intent", "intents", "category", "categories",
    "class", "classes", "option", "options", "topic", "topics", "definition", "definitions", "rule", "rules",
    "instruction", "instructions", "schema", "format", "output", "outputs", "context", "policy", "policies", "note",
    "notes", "background", "knowledge", "documents", "guideline", "guidelines", "task", "system", "role",
    "important", "answer",
])  # fmt: skip
"""Names that announce a part of the prompt that is not the query."""

_JOINTS = re.compile(r"[\s_-]+")
_AROUND_NAMES = " \t\n\"'`*“”.,;"
_BULLET = re.compile(r"^\s*(?:[-*•+]\s+|\d{1,3}[.)]\s+)")
_MARKER = re.compile(r"^[ \t]*(?:#{1,6} +)?[*_`]{0,2}([^\W\d_][\w ./-]{0,30}?)[*_`]{0,2} ?:[*_`]{0,2}[ \t]*(.*)$", re.S)
_ARROW = re.compile(r"^(.+?)\s*(?:-{1,2}>|=>|→|⇒|\t+)\s*(.+)$")
_BRACKETED = re.compile(r"^([\"“'].+[\"”'])\s*[(\[]([^()\[\]]+)[)\]]$")
# A dash of any length may stand between a label and what it means.
_DEFINED = re.compile(r"^([`\"'*_]{0,3})([^:—–=`\"*]{1,60}?)[`\"'*_]{0,3}\s*(?::[*_`]{0,2}\s+|\s+[—–=-]\s+)(\S.*)$")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|'([^']+)'(?=\s*(?:[,;]|$))")
_HEADING = re.compile(r"^\s*(?:#{1,6}\s+)?[`\"'*_\[]{0,3}([^`\"*:\[\]#]{1,60}?)[`\"'*_\]]{0,3}\s*:?[*_]{0,2}\s*$")
_EXAMPLE_BLOCK = re.compile(r"<(example|shot|sample)\b([^>]*)>(.*?)</\1>", re.S | re.I)
_ELEMENT = re.compile(r"<([\w-]+)(?:\s[^>]*)?>(.*?)</\1>", re.S)
_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*[\"']([^\"']*)[\"']")
_FENCE = re.compile(r"^\s*```.*$", re.M)
_RULE_ROW = re.compile(r"^[\s|:-]+$")
_QUOTES = {'"': '"', "'": "'", "“": "”", "`": "`", "«": "»"}
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Example:
    """An input with the output the prompt gives for it: a JSON value, or a bare label as ``str``."""

    text: str
    output: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a prompt says: *definitions* by folded label."""

    examples: tuple[Example, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Notes) -> Notes:
        return Notes(examples=self.examples + other.examples, definitions={**self.definitions, **other.definitions})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The names a schema uses, folded; both are empty when there is no schema."""

    labels: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    def is_label(self, text: str) -> bool:
        return fold(text) in self.labels

    def is_output(self, name: str) -> bool:
        return name in OUTPUT_NAMES or name in self.fields


def fold(name: str) -> str:
    """Make ``Card_Arrival``, ``card-arrival`` and ``"card arrival"`` the same."""
    return " ".join(_JOINTS.sub(" ", name.strip(_AROUND_NAMES)).casefold().split())


def unquote(text: str) -> str:
    """Take the quotes off *text* when they enclose all of it."""
    text = text.strip()
    for fence in ('"""', "'''", "```"):
        if len(text) >= 6 and text.startswith(fence) and text.endswith(fence):
            return text[3:-3].strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def as_value(output: str) -> Any:
    """Read an example's output: JSON when it is an object, a list or a scalar, else the bare label."""
    text = output.strip().removeprefix("```json").removesuffix("```").strip()
    try:
        return json.loads(text)
    except ValueError:
        return unquote(text)


def marker(line: str) -> tuple[str, str] | None:
    """Split ``Ticket: where is my card?`` into its folded name and the rest; None when *line* has no name in front."""
    found = _MARKER.match(line)
    if found is None or len(found[1].split()) > 3 or found[2].startswith("//"):
        return None
    return fold(found[1]), found[2].strip()


def read_notes(text: str, vocabulary: Vocabulary) -> Notes:
    """Find the definitions and examples that *text* gives, in any mixture of the notations this module knows.

    Where the schema names its labels, only these can be defined and only these can be the bare output of an example
    that is written on one line.
    """
    examples: list[Example] = []
    for block in _EXAMPLE_BLOCK.finditer(text):
        examples += _block(block[3], block[2], vocabulary)
    scan = _Scan(_FENCE.sub("", _EXAMPLE_BLOCK.sub("", text)), vocabulary)
    scan.run()
    return Notes(examples=tuple(examples + scan.examples), definitions=scan.definitions)


class _Scan:
    """One walk over the lines of a text; each reader takes the lines it understands, or none."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.lines = text.splitlines()
        self.vocabulary = vocabulary
        self.examples: list[Example] = []
        self.definitions: dict[str, str] = {}

    def run(self) -> None:
        readers: tuple[Callable[[int], int], ...] = (
            self._json, self._table, self._pair, self._arrow, self._section, self._label_list, self._definition,
        )  # fmt: skip
        at = 0
        while at < len(self.lines):
            if not self.lines[at].strip():
                at += 1
                continue
            at += next((taken for reader in readers if (taken := reader(at))), 1)

    def _json(self, at: int) -> int:
        start = self.lines[at].lstrip()
        if not start.startswith(("{", "[{")) and start != "[":
            return 0
        rest = "\n".join([start, *self.lines[at + 1 :]]) if not start.endswith("}") else start
        try:
            value, end = _DECODER.raw_decode(rest)
        except ValueError:
            return 0
        rows = value if isinstance(value, list) else [value]
        self.examples += (example for row in rows if (example := _json_row(row, self.vocabulary)))
        return rest.count("\n", 0, end) + 1

    def _table(self, at: int) -> int:
        rows = []
        for line in self.lines[at:]:
            if not line.lstrip().startswith("|"):
                break
            rows.append([cell.strip().replace("\\|", "|") for cell in line.strip().strip("|").split("|")])
        if len(rows) < 3 or not _RULE_ROW.match(self.lines[at + 1]):
            return 0
        head = [fold(cell) for cell in rows[0]]
        for cells in rows[2:]:
            if len(cells) == len(head):
                self._table_row(head, cells)
        return len(rows)

    def _table_row(self, head: list[str], cells: list[str]) -> None:
        row = dict(zip(head, map(unquote, cells), strict=True))
        inputs = [name for name in head if name in INPUT_NAMES or name.startswith("example")]
        outputs = [name for name in head if self.vocabulary.is_output(name) and name not in inputs]
        if inputs and outputs:
            self.examples.append(Example(row[inputs[0]], _outputs([(name, row[name]) for name in outputs])))
        elif len(head) == 2 and not inputs:
            label, sentence = (cells[0], cells[1])
            if self.vocabulary.is_label(label) or not self.vocabulary.labels:
                self.definitions[fold(label)] = sentence
            elif self.vocabulary.is_label(sentence):
                self.examples.append(Example(unquote(label), unquote(sentence)))

    def _pair(self, at: int) -> int:
        first = marker(_BULLET.sub("", self.lines[at]))
        if first is None or self.vocabulary.is_label(first[0]) or self.vocabulary.is_output(first[0]):
            return 0
        if first[0] not in INPUT_NAMES and (first[0] in SECTION_NAMES or not first[1]):
            return 0
        outputs: list[tuple[str, Any]] = []
        text, end = [first[1]], at + 1
        while end < len(self.lines):
            line = self.lines[end]
            named = marker(_BULLET.sub("", line))
            if named is None or not self._answers(named, first[0]):
                if outputs or (named is not None and named[0] == first[0]) or (not line.strip() and not any(text)):
                    break
                text.append(line)
                end += 1
                continue
            value, taken = self._value(named[1], end)
            outputs.append((named[0], value))
            end += taken
        if not outputs or not any(text):
            return 0
        if all(isinstance(value, str) and not value for _, value in outputs):
            return 0  # the open end of a prompt, "Output:", is for the model to fill
        self.examples.append(Example(unquote("\n".join(text)), _outputs(outputs)))
        return end - at

    def _answers(self, named: tuple[str, str], asked: str) -> bool:
        name, rest = named
        return name != asked and (self.vocabulary.is_output(name) or self.vocabulary.is_label(rest))

    def _value(self, rest: str, at: int) -> tuple[Any, int]:
        """Read an output that starts with *rest* on line *at*; JSON may run over several lines."""
        lines = 1
        if not rest and at + 1 < len(self.lines):
            rest, lines = self.lines[at + 1].strip(), 2
        if rest.startswith(("{", "[")):
            whole = "\n".join([rest, *self.lines[at + lines :]])
            try:
                value, end = _DECODER.raw_decode(whole)
            except ValueError:
                return rest, lines
            return value, lines + whole.count("\n", 0, end)
        return unquote(rest), lines

    def _arrow(self, at: int) -> int:
        line = _BULLET.sub("", self.lines[at]).strip()
        found = _BRACKETED.match(line) or _ARROW.match(line)
        if found is None:
            return 0
        left, right = unquote(found[1]), as_value(found[2])
        named = marker(left)
        left = named[1] if named is not None and named[0] in INPUT_NAMES else left
        if not isinstance(right, str) or self.vocabulary.is_label(right) or not self.vocabulary.labels:
            self.examples.append(Example(left, right))
        elif self.vocabulary.is_label(left) and found[2][:1] in _QUOTES:
            self.examples += (Example(text, left) for text in _quoted(found[2]))
        elif self.vocabulary.is_label(left):
            self.definitions[fold(left)] = right
        else:
            return 0
        return 1

    def _section(self, at: int) -> int:
        """``label:`` on a line of its own, or as a heading, with its examples as bullets below."""
        found = _HEADING.match(_BULLET.sub("", self.lines[at]))
        if found is None or not self.vocabulary.is_label(found[1]):
            return 0
        end = at + 1
        while end < len(self.lines):
            bullet = _BULLET.match(self.lines[end])
            body = self.lines[end][bullet.end() :] if bullet else ""
            if not body or self.vocabulary.is_label(body) or self._defines(body):
                break
            self.examples.append(Example(unquote(body), unquote(found[1].strip())))
            end += 1
        return end - at if end > at + 1 else 0

    def _label_list(self, at: int) -> int:
        """``label: "example 1", "example 2"``."""
        found = _DEFINED.match(_BULLET.sub("", self.lines[at]).strip())
        if found is None or not (self.vocabulary.is_label(found[2]) or not self.vocabulary.labels):
            return 0
        texts = list(_quoted(found[3]))
        left_over = _QUOTED.sub("", found[3]).strip(" ,;./|")
        if not texts or left_over.casefold() not in ("", "and", "or", "e.g", "eg", "such as", "for example"):
            return 0
        self.examples += (Example(text, found[2].strip()) for text in texts)
        return 1

    def _definition(self, at: int) -> int:
        body = _BULLET.sub("", self.lines[at]).strip()
        found = self._defines(body)
        if not found:
            return 0
        if not self.vocabulary.labels:
            # Without a schema nobody says what the labels are: only what looks like an entry of a list is one.
            marked = bool(_BULLET.match(self.lines[at])) or found[1].startswith(("`", "**"))
            if not marked or len(found[2].split()) > 4 or len(found[3].split()) < 2 or fold(found[2]) in SECTION_NAMES:
                return 0
        sentence, taken = [found[3]], 1
        for line in self.lines[at + 1 :]:
            if not line.startswith(("  ", "\t")) or _BULLET.match(line) or self._defines(line.strip()):
                break
            sentence.append(line.strip())
            taken += 1
        self.definitions[fold(found[2])] = " ".join(sentence)
        return taken

    def _defines(self, body: str) -> re.Match[str] | None:
        found = _DEFINED.match(body)
        return found if found and (not self.vocabulary.labels or self.vocabulary.is_label(found[2])) else None


def _block(body: str, attributes: str, vocabulary: Vocabulary) -> Iterable[Example]:
    """Read what stands in an ``<example>``: elements, an attribute with its label, or any other notation."""
    parts = [(fold(name), unquote(text)) for name, text in _ELEMENT.findall(body)]
    named = [(fold(name), text) for name, text in _ATTRIBUTE.findall(attributes)]
    outputs = [(name, text) for name, text in parts[1:] if text]
    if len(parts) > 1 and outputs:
        return [Example(parts[0][1], _outputs([(name, as_value(text)) for name, text in outputs]))]
    answers = [(name, text) for name, text in named if vocabulary.is_output(name) or vocabulary.is_label(text)]
    if answers:
        return [Example(parts[0][1] if parts else unquote(body), _outputs(answers))]
    scan = _Scan(body, vocabulary)
    scan.run()
    return scan.examples


def _json_row(row: Any, vocabulary: Vocabulary) -> Example | None:
    """Read ``{"input": ..., "output": ...}`` by the usual names of its keys."""
    if not isinstance(row, dict):
        return None
    names = {fold(str(key)): value for key, value in row.items()}
    asked = next((name for name in names if name in INPUT_NAMES and names[name]), None)
    if asked is None:
        return None
    given = names.pop(asked)
    if isinstance(given, dict):
        given = " ".join(str(value) for value in given.values())
    outputs = [(str(key), row[key]) for key in row if vocabulary.is_output(fold(str(key))) and fold(str(key)) != asked]
    return Example(str(given), _outputs(outputs)) if outputs else None


def _outputs(outputs: list[tuple[str, Any]]) -> Any:
    """One named output is the answer itself; several are the fields of one."""
    if len(outputs) == 1:
        value = outputs[0][1]
        return as_value(value) if isinstance(value, str) else value
    return {name: as_value(value) if isinstance(value, str) else value for name, value in outputs}


def _quoted(text: str) -> Iterator[str]:
    return (found[1] or found[2] or found[3] for found in _QUOTED.finditer(text))
