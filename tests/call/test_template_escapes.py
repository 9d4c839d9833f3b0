"""No template reaches an object, a file or a process: it sees data, whoever wrote it and whatever it tries."""

from __future__ import annotations

import dataclasses
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, support_desk
from pydantic import BaseModel, Field, SecretStr

import labkit as lk

PICKLE = "cos\\nsystem\\n(S'touch {mark}'\\ntR."
SECRET = "content-of-the-file-7f3a"


class Account(BaseModel):
    owner: str = "me"

    def close(self) -> str:
        raise SystemExit("a template closed an account")


@dataclasses.dataclass
class Order:
    number: int = 7

    def cancel(self) -> str:
        raise SystemExit("a template cancelled an order")


class Client:
    """What a source should not give, and may."""

    def __init__(self) -> None:
        self.region = "eu"
        self.send = self.__call__
        self._password = SECRET

    def __call__(self, *args: Any) -> str:
        raise SystemExit("a template called the client")

    def delete(self) -> str:
        raise SystemExit("a template deleted something")


class Ticket(BaseModel):
    text: str = "hello {0.__class__.__init__.__globals__}"
    n: int = 3
    price: Decimal = Decimal("1.5")
    tags: list[str] = Field(default_factory=lambda: ["a", "b"])
    extra: dict[str, Any] = Field(default_factory=lambda: {"k": 1})
    account: Account = Account()

    def run(self) -> str:
        raise SystemExit("a template ran a method")


# On {{ input }}, a model
MODEL = [
    "{{ input.parse_raw(PICKLE, proto='pickle', allow_pickle=True) }}",
    "{{ input.parse_file(FILE) }}",
    "{{ input.parse_obj({}) }}",
    "{{ input.run() }}",
    "{{ input.account.close() }}",
    "{{ input.account.parse_raw(PICKLE, proto='pickle', allow_pickle=True) }}",
    "{{ input['parse_raw'](PICKLE, proto='pickle', allow_pickle=True) }}",
    "{{ (input|attr('parse_raw'))(PICKLE, proto='pickle', allow_pickle=True) }}",
    "{{ [input]|map(attribute='parse_file')|list }}",
    "{{ ([input]|map(attribute='parse_file')|first)(FILE) }}",
    "{{ [input]|map('attr', 'parse_file')|list }}",
    "{{ input.model_construct() }}",
    "{{ input.model_copy() }}",
    "{{ input.copy() }}",
    "{{ input.dict() }}",
    "{{ input.model_config }}",
    "{{ input.model_fields }}",
    "{{ input.__pydantic_validator__ }}",
    "{{ input.__pydantic_decorators__ }}",
    "{{ input.__class__ }}",
    "{{ input['__class__'] }}",
    "{{ input|attr('__class__') }}",
    "{{ input|attr('__cl' ~ 'ass__') }}",
    "{{ input|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ input.__init__.__globals__ }}",
    "{{ input._read }}{{ input.read(FILE) }}",
    "{{ input._source }}",
    "{{ input.names }}{{ input.without('x') }}",
    "{{ input.tags._held }}",
    "{{ input.tags.__class__.__mro__ }}",
]
# On text, numbers and containers
VALUES = [
    "{{ input.text.__class__.__mro__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ().__class__.__base__.__subclasses__() }}",
    "{{ ''['__class__']['__mro__'] }}",
    "{{ [].append.__self__ }}",
    "{{ {}.__class__.mro() }}",
    "{{ input.n.__class__ }}",
    "{{ input.n.to_bytes(10**9, 'big') }}",
    "{{ input.n.real.imag.conjugate() }}",
    "{{ input.price.as_tuple() }}",
    "{{ '{0.__class__}'.format(input) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(input.text) }}",
    "{{ input.text.format(input) }}",
    "{{ '{x.parse_file}'.format(x=input) }}",
    "{{ '{x[__class__]}'.format(x=input) }}",
    "{{ '{0.send}'.format(context.client) }}",
    "{{ '{x.__class__}'.format_map({'x': input}) }}",
    "{{ ('{0.__cl' ~ 'ass__}').format(1) }}",
    "{{ ['{0.__class__}']|map('format', input)|list }}{{ '{0.__class__}'|format(1) }}",
    "{{ (['{0.__class__.__mro__}']|first).format(1) }}",
    "{{ '%s'|format(context.client.delete) }}",
    "{{ 'a'.translate({97: 'b'}) }}",
    "{{ 'a'.encode().decode }}",
    "{{ ('a'|e).__html__ }}{{ ('a'|e).unescape() }}",
    "{{ ('{0.__class__}'|e).format(input) }}",
    "{{ input.tags.append('x') }}",
    "{{ input.tags.clear() }}",
    "{{ input.extra.update({'k': 2}) }}",
    "{{ input.extra.pop('k') }}",
    "{{ {'a': 1}.popitem() }}",
    "{{ input.tags.sort(key=context.client) }}",
]
# On the language itself
LANGUAGE = [
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum.__globals__['os'].popen('touch MARK').read() }}",
    "{{ lipsum() }}",
    "{{ cycler.__init__.__globals__.os.system('touch MARK') }}",
    "{{ cycler('a').__class__ }}",
    "{{ cycler('a').items.__class__ }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ joiner(', ').sep.__class__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace(a=1)._Namespace__attrs.__class__ }}",
    "{{ namespace(a=1).__class__ }}",
    "{{ range.__class__ }}",
    "{{ range.call }}",
    "{{ dict.fromkeys }}",
    "{{ dict.mro() }}",
    "{{ input.text.upper.__self__ }}",
    "{{ input.text.upper._operation }}",
    "{{ input.text.upper.call }}",
    "{{ range }}{{ dict }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._environment }}",
    "{% macro m() %}{% endmacro %}{{ m.__class__ }}{{ m }}",
    "{% macro m() %}{{ caller.__class__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m() %}{{ varargs.__class__ }}{{ kwargs.__class__ }}{% endmacro %}{{ m(1, a=2) }}",
    "{% for x in input.tags %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in input.tags %}{{ loop._iterator }}{{ loop._recurse }}{% endfor %}",
    "{% for x in input.tags %}{{ loop }}{% endfor %}",
    "{% for x in input.tags|map('upper') %}{{ loop._iterator.gi_frame }}{% endfor %}",
    "{{ (input.tags|map('upper')).gi_frame }}",
    "{{ (input.tags|batch(1)).gi_frame.f_globals }}",
    "{{ (input.tags|select).gi_code }}",
    "{% include FILE %}",
    "{% import FILE as x %}{{ x }}",
    "{% from FILE import x %}",
    "{% extends FILE %}",
    "{% block a %}{{ self.a.__globals__ }}{% endblock %}",
    "{% block a %}{{ super.__class__ }}{% endblock %}",
    "{% autoescape true %}{{ '{0.__class__}'|e }}{{ input.x }}{% endautoescape %}",
    "{{ missing.__class__ }}",
    "{{ input.missing.__class__ }}",
    "{{ (input.missing|default(range)).__class__ }}",
    "{{ [range, dict]|map(attribute='__class__')|list }}",
    "{{ {'a': 1}|xmlattr }}{{ 'x'|urlize }}",
    "{{ input|groupby('__class__') }}",
    "{{ [input]|groupby('__class__') }}",
    "{{ [input]|sort(attribute='__class__') }}",
    "{{ [input]|sum(attribute='__class__') }}",
    "{{ [input]|selectattr('__class__')|list }}",
    "{{ [input]|map(attribute='account.__class__')|list }}",
    "{{ [input]|rejectattr('run', 'callable')|list }}",
    "{{ input is filter }}{{ environment }}",
    "{{ __builtins__ }}",
    "{{ context.__class__ }}{{ context.environment }}",
    "{{ context.eval_ctx }}",
    "{{ context._parent }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ request.application }}",
    "{% set input = range %}{{ input.__class__ }}",
    "{% set namespace.x = 1 %}",
    "{% with a = input.account %}{{ a.close() }}{% endwith %}",
    "{% filter attr('__class__') %}x{% endfilter %}",
]
# On what a source gave
CONTEXT = [
    "{{ context.client.delete() }}",
    "{{ context.client() }}",
    "{{ context.client.send('x') }}",
    "{{ context.client._password }}",
    "{{ context.client.__dict__ }}",
    "{{ context.client }}",
    "{{ context.order.cancel() }}",
    "{{ context.order.__dataclass_fields__ }}",
    "{{ context.function() }}",
    "{{ context.function }}",
    "{{ context.module.system('touch MARK') }}",
    "{{ context.module.environ }}",
    "{{ context.kind.__subclasses__() }}",
    "{{ context.kind }}",
    "{{ context.file.read() }}",
    "{% for line in context.file %}{{ line }}{% endfor %}",
    "{{ context.path.read_text() }}",
    "{{ context.path.parent.iterdir() }}",
    "{{ context.generator.gi_frame }}",
    "{% for x in context.generator %}{{ x }}{% endfor %}",
    "{{ context.error.__traceback__.tb_frame }}",
    "{{ context.error.with_traceback }}",
    "{{ context.secret._secret_value }}",
    "{{ context.values.order.cancel() }}",
    "{{ context.values['client'].delete() }}",
    "{{ (context.values|dictsort|first)[1].delete() }}",
    "{{ context.values.items()|map('last')|map(attribute='delete')|list }}",
    "{{ context.listed[0].delete() }}",
    "{{ (context.listed|first).delete() }}",
    "{{ context.listed|map('attr', 'delete')|list }}",
    "{{ values_client.delete() }}",
    "{{ values_model.close() }}",
    "{{ values_model.parse_file(FILE) }}",
]
ESCAPES = [*MODEL, *VALUES, *LANGUAGE, *CONTEXT]


def _sources(file: Path) -> list[lk.Source]:
    try:
        raise ValueError("an error")
    except ValueError as caught:
        error = caught
    given: dict[str, Any] = {
        "client": Client(),
        "order": Order(),
        "function": lambda: (_ for _ in ()).throw(SystemExit("a template called a function")),
        "module": os,
        "kind": Client,
        "file": file.open(encoding="utf-8"),
        "path": file,
        "generator": (each for each in [SECRET]),
        "error": error,
        "secret": SecretStr(SECRET),
        "values": {"client": Client(), "order": Order()},
        "listed": [Client()],
    }
    return [lk.Source(lambda _, held=held: held, name=name) for name, held in given.items()]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("template", ESCAPES)
def test_no_template_reaches_an_object_a_file_or_a_process(template: str, tmp_path: Path):
    """It is refused when the call is made or when it is asked, or it gives plain text that holds none of them."""
    mark, file = tmp_path / "ran", tmp_path / "kept.json"
    file.write_text(f'{{"text": "{SECRET}"}}', encoding="utf-8")
    source = template.replace("PICKLE", f'"{PICKLE}"').replace("{mark}", str(mark)).replace("MARK", str(mark))
    source = source.replace("FILE", f"'{file}'")
    model = lk.ScriptedModel(GOOD)
    values = {"values_client": Client(), "values_model": Account()}

    try:
        prompt = lk.Prompt(user=source, values=values)
        result = support_desk(model, input=Ticket, prompt=prompt, context=_sources(file))(Ticket())
    except lk.CallInvalid:
        said = ""
    else:
        said = "".join(request.messages[-1].content for request in model.requests)
        assert said or (result.reason.step, result.reason.outcome) == ("prompt", "bug")

    assert not mark.exists()
    for trace in (
        SECRET,
        "<class",
        "<function",
        "<bound",
        "<built-in",
        "<module",
        "<generator",
        " at 0x",
        "SystemExit",
    ):
        assert trace not in said


def test_there_are_more_than_enough_escapes():
    """The list is not to shrink unseen."""
    assert len(set(ESCAPES)) == len(ESCAPES) >= 60


def test_a_template_that_names_a_method_is_refused_when_the_call_is_made():
    """And it is told what there is."""
    with pytest.raises(lk.CallInvalid, match="Ticket has no field 'parse_raw'; it has text"):
        support_desk(input=Ticket, prompt=lk.Prompt(user="{{ input.parse_raw('x') }}"))
