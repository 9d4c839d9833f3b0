"""Secrets are found by their form and by the name of what they are given to; healthy code goes out."""

from __future__ import annotations

import ast

import pytest
from guard_tables import rows

from labkit.call.guards import no_secrets
from labkit.export.credentials import secret_in, secret_in_data, secrets_in_code


@pytest.mark.parametrize("row", rows("secrets"), ids=lambda row: row.why)
def test_guard_and_export_know_the_same_secrets(row):
    """What the guard rejects in an answer is not published in a package, and the other way round."""
    assert (secret_in(row.text) is not None) == (no_secrets(row.text) is not None)


def found(source: str) -> list[tuple[int, str]]:
    return [(suspect.line, suspect.what) for suspect in secrets_in_code(ast.parse(source), source, 1)]


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("m = Model('x', api_key='myplainSECRETpw')", 1, "what is given to `api_key`"),
        ("m = Model('x',\n    base_url='https://h/v1?api-key=abcdefgh')", 2, "what stands behind `api-key=`"),
        ("m = Model('x', base_url='https://bob:s3cr3t@h/v1')", 1, "url-password"),
        ("d = SafeDefault({'reply': 'log in with password=hunter2'})", 1, "what stands behind `password=`"),
        ("PASSWORD = 'hunter2'", 1, "what is given to `PASSWORD`"),
        ("pwd: str = 'S3cr3tP4ss'", 1, "what is given to `pwd`"),
        ("AZURE_KEY = '048c07dd7753eda83d7c58dfe0d5a0cf'", 1, "what is given to `AZURE_KEY`"),
        ("h = {'X-Api-Key': 'kJ3nd8sKq'}", 1, "what is given to `X-Api-Key`"),
        ("h = {'Authorization': 'Bearer 048c07dd7753eda83d7c58dfe0d5a0cf'}", 1, "bearer-token"),
        ("h['X-Api-Key'] = b'kJ3nd8sKq'", 1, "what is given to `X-Api-Key`"),
        ("k = os.getenv('API_KEY', 'kJ3nd8sKq')", 1, "what is given to `API_KEY`"),
        ("def f(x, *, api_key='kJ3nd8sKq'): return x", 1, "what is given to `api_key`"),
        ("c = Client(api_key=os.environ.get('K') or 'kJ3nd8sKq')", 1, "what is given to `api_key`"),
        ("c = Client(api_key='kJ3nd8sKq' if prod else None)", 1, "what is given to `api_key`"),
        ("c = Client(auth=('bob', 'kJ3nd8sKq'))", 1, "what is given to `password`"),
        ("c = Client(SecretStr('kJ3nd8sKq'))", 1, "what is given to `password`"),
        ("self.client_secret = 'kJ3nd8sKq '.strip()", 1, "what is given to `client_secret`"),
        ("x = 1  # password: T4ube!Regen_91", 1, "password in a comment"),
        ("x = [\n    'gh' 'p_8rESQedUStPKR0CsTy4Qwb8DwkNhFdnXsiVp']", 2, "github-token"),
        ("x = 'Server=db;Uid=app;Pwd=kJ3nd8sKq;'", 1, "password"),
    ],
)
def test_a_secret_is_found_by_its_name_as_by_its_form(source, line, what):
    """A password of plain letters has no form, but somebody has written down what it is."""
    assert found(source) == [(line, what)]


@pytest.mark.parametrize(
    "source",
    [
        "m = Model('x', api_key=os.environ['OPENAI_API_KEY'])",
        "m = Model('x', api_key='none', base_url='http://localhost:8000/v1')",
        "m = Model('x', api_key='EMPTY')\nn = Model('x', api_key='ollama')\no = Model('x', api_key='not-needed')",
        "m = Model('x', api_key='sk-...')\nn = Model('x', api_key='<your key>')\no = Model(api_key='YOUR_API_KEY')",
        "k = os.getenv('API_KEY')\nj = os.environ.get('API_KEY', '')\ni = os.getenv('API_KEY', 'unknown')",
        "password = getpass.getpass('Password for the database: ')",
        "token = response.headers.get('x-request-1')\npassword = get_secret_v2(name)",
        "# token = load_token_v2(path)\nx = 1",
        "api_key_env = 'OPENAI_API_KEY_2'\npassword_field = 'password1'\ntoken_type = 'bearer'",
        "token = 'stolen'\nsecret = 'word'\nkey = 'card_arrival_2024'\nsort_key = 'created_at_2024'",
        "max_tokens = '4096'\npad_token = '[PAD]'\nstop_token = '<|im_end|>'",
        "INTENTS = {'password': 'password_reset', 'token': 'token_issue', 'api key': 'api_key_lost'}",
        "REPLIES = {'password': 'Reset your password under Settings.', 'token': 'Ask for a new token.'}",
        "text = 'Reset your password: open the app, choose Password=New.'",
        "text = 'password=%s' % x\nother = f'password={x}'\nurl = f'https://h/?api-key={key}'\nr = r'password=\\w+'",
        "text = text.replace('password', 'redacted').replace('token', '[token]')",
        "class Login(BaseModel):\n    password: str = Field(description='The password, at least 8 characters')",
        "x = st.text_input('Password', type='password')",
        "url = 'postgres://<user>:<password>@host/db'\nother = 'https://user:password@host'",
        "call = f(api_key=settings.api_key, password=config['password'], auth=auth)",
        "DIGEST = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'\nCOMMIT = '9f86d081884c7d65'",
    ],
)
def test_healthy_code_is_no_secret(source):
    """An export that is refused for a word is an export that nobody trusts."""
    assert found(source) == []


def test_data_is_looked_through_by_its_keys():
    """What was embedded is published as it stands."""
    assert secret_in_data([{"a": {"password": "hunter2"}}]) == "what is given to `password`"
    assert secret_in_data({"url": ["https://h/?api-key=abcdefgh"]}) == "what stands behind `api-key=`"
    assert secret_in_data({"password": "password_reset", "n": 1, "x": None, "text": "My password is lost"}) is None


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            "key = 1\nmodel = lk.Model('openai/x', base_url='http://h/v1',\n    api_key='myplainSECRETpw')",
            "`api_key`, line 3",
        ),
        ("key = 1\nmodel = lk.Model('openai/x', base_url='http://h/v1?api-key=abcdefgh')", "behind `api-key=`, line 2"),
        ("key = 1\nmodel = lk.Model('openai/x', base_url='http://bob:s3cr3t@h/v1')", "url-password, line 2"),
    ],
)
def test_a_model_with_a_key_in_it_is_refused_with_cell_line_and_mend(notebook, cell, said):
    """The key is neither published nor repeated in the message."""
    notebook.run(cell).call("fallbacks=[model]")

    message = notebook.refusal()

    assert "In[2], line 2 (triage needs model): holds what looks like a secret (" in message and said in message
    assert "os.environ[...]" in message
    assert not any(secret in message for secret in ("myplain", "abcdefgh", "s3cr3t"))


def test_a_default_with_a_password_in_it_is_refused(notebook):
    """The answer of the worst day would publish it."""
    notebook.run("class Triage(BaseModel):\n    intent: str\n    reply: str = ''")
    notebook.call("fallbacks=[lk.SafeDefault({'intent': 'other', 'reply': 'log in with password=hunter2'})]")

    assert (
        "In[3], line 1 (triage): holds what looks like a secret (what stands behind `password=`" in notebook.refusal()
    )


def test_embedded_data_with_a_key_in_it_is_refused(notebook):
    """By the name of the key as by its form."""
    notebook.run("settings = export.embed({'host': 'db', 'password': 'hunter2'})")
    notebook.call("rules=[lambda value, ticket: value if settings else None]")

    assert "`settings` holds what looks like a secret (what is given to `password`)" in notebook.refusal()
