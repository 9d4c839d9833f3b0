"""From a JSON Schema, the notes of a prompt and a query to a value that fits the schema.

Each kind of place in a schema is a small node that is built once a prompt and fills itself for each query:

- labels (``enum``, ``const``, booleans, unions): the nearest by name, definition and examples;
- strings and numbers whose values stand in the examples' texts: the words of the query in the same surroundings;
- other strings and numbers that examples have: the value of the nearest examples;
- without examples: a number that the query states within the bounds, else the lowest; a piece of the query that has
  the wanted format or pattern, else an excerpt of the query, else the shortest text that fits;
- what may be null or left out is, where nothing speaks for a value; a ``default`` comes before that.
"""

from __future__ import annotations

from typing import Any

from labkit.models.offline.building import Builder
from labkit.models.offline.choice import Asked, Chooser
from labkit.models.offline.nodes import ABSENT
from labkit.models.offline.notation import Notes, fold
from labkit.models.offline.options import enumerated, is_label, options_of
from labkit.models.offline.schema import Schema, resolve, types_of
from labkit.models.offline.similarity import Index, features
from labkit.models.offline.slots import SlotTagger
from labkit.models.protocol import Sampling

__all__ = ["Filler"]


class Filler:
    """Fills one schema from the notes of one prompt; what it can work out before the query is worked out here.

    Args:
        schema: Any JSON Schema.
        notes: Definitions and examples; outputs may be JSON values or bare labels.
    """

    def __init__(self, schema: Schema, notes: Notes) -> None:
        self._examples = Index([example.text for example in notes.examples])
        builder = Builder(root=schema, notes=notes)
        aligned = (_align(example.output, schema) for example in notes.examples)
        samples = [(number, value) for number, value in enumerate(aligned) if value is not ABSENT]
        self._node = builder.place(schema, (), samples)
        self._tagger = None
        if builder.located:
            texts = [(example.text, builder.located.get(number, [])) for number, example in enumerate(notes.examples)]
            self._tagger = SlotTagger(texts)

    def fill(self, query: str, sampling: Sampling) -> tuple[Any, list[float]]:
        """Give the value for *query*, and the log-probability of each label in it, in the order of the schema."""
        counted = features(query)
        asked = Asked(
            query=query,
            near=self._examples.scores(counted),
            chooser=Chooser(sampling, query),
            spans=self._tagger.spans(query) if self._tagger else {},
            _features=counted,
        )
        return self._node.fill(asked, 0)[0], asked.chooser.logprobs


def _align(output: Any, schema: Schema) -> Any:
    """Give an example's output the shape of *schema*: a bare label goes to the field that has it."""
    rules = resolve(schema, schema)
    if "object" not in types_of(rules) or "properties" not in rules:
        return output
    names = {fold(name): name for name in rules["properties"]}
    if isinstance(output, dict):
        return {names.get(fold(str(key)), key): value for key, value in output.items()}
    for name, part in rules["properties"].items():
        options, _ = options_of(resolve(part, schema), schema)
        labels = enumerated(options)
        if any(is_label(output, value) for value, _ in labels or ()):
            return {name: output}
        nested = options[0] if len(options) == 1 else {}
        if "properties" in nested and isinstance(
            inner := _align(output, {**nested, "$defs": schema.get("$defs", {})}), dict
        ):
            return {name: inner}
    return {next(iter(names.values())): output} if len(names) == 1 else ABSENT
