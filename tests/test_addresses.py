"""Addresses of stores, gateways and caches hold passwords: wherever one is written, it is written without them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import nbformat
import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit import evals
from labkit.addresses import MASK, masked
from labkit.cli import main
from labkit.errors import LabkitError
from labkit.scheduled import run_notebook
from labkit.store.runs import RunStore

PW = "pa55w0rd-7f3a"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"postgres://bob:{PW}@h/x", "postgres://bob:***@h/x"),
        (f"postgresql+psycopg2://bob:{PW}@h:5432/x", "postgresql+psycopg2://bob:***@h:5432/x"),
        (f"mysql+pymysql://bob:{PW}@h/x?charset=utf8", "mysql+pymysql://bob:***@h/x?charset=utf8"),
        (f"POSTGRES://BOB:{PW}@H", "POSTGRES://BOB:***@H"),
        (f"nosuch://bob:{PW}@h", "nosuch://bob:***@h"),
        (f"postgres:/bob:{PW}@h", "postgres:/bob:***@h"),
        (f"postgres//bob:{PW}@h", "postgres//bob:***@h"),
        (f"postgres:bob:{PW}@h", "postgres:bob:***@h"),
        (f"bob:{PW}@h/x", "bob:***@h/x"),
        (f"redis://:{PW}@h:6379/0", "redis://:***@h:6379/0"),
        (f"mongodb+srv://u:{PW}@c.net/?authSource=admin", "mongodb+srv://u:***@c.net/?authSource=admin"),
        (f"mysql://bob:a/{PW}@b?c#d@h", "mysql://bob:***@h"),
        (f"mysql://bob:a b'\"{PW}@h", "mysql://bob:***@h"),
        (f"mysql://bob:%40{PW}%2F@h", "mysql://bob:***@h"),
        (f"https://bob:{PW}@gateway/v1", "https://bob:***@gateway/v1"),
        (f"https://{PW}@gateway/v1", "https://***@gateway/v1"),
        (f"https://h/v1?api-key={PW}&v=1", "https://h/v1?api-key=***&v=1"),
        (f"https://h/v1?v=1&apiKey={PW}", "https://h/v1?v=1&apiKey=***"),
        (f"https://h/v1?token={PW}", "https://h/v1?token=***"),
        (f"https://h/v1?sv=2&sig={PW}%3D", "https://h/v1?sv=2&sig=***"),
        (f"https://h/v1?subscription-key={PW}", "https://h/v1?subscription-key=***"),
        (f"https://h/v1?X-Amz-Signature={PW}", "https://h/v1?X-Amz-Signature=***"),
        (f"https://h/v1#access_token={PW}", "https://h/v1#access_token=***"),
        (f"postgresql:///db?user=bob&password={PW}", "postgresql:///db?user=bob&password=***"),
        (f"mssql+pyodbc:///?odbc_connect=DRIVER%3D%3BPWD%3D{PW}", "mssql+pyodbc:///?odbc_connect=***"),
        (f"host=h user=bob password={PW} dbname=x", "host=h user=bob password=*** dbname=x"),
        (f"host=h password = 'a {PW}'", "host=h password = ***"),
        (f"cannot reach (postgres://bob:{PW}@h/x), nor a@b.c", "cannot reach (postgres://bob:***@h/x), nor a@b.c"),
        (f'{{"api_key": "{PW}", "code": "wrong"}}', "{\"api_key\": '***', \"code\": \"wrong\"}"),
        *(
            (plain, plain)
            for plain in (
                "sqlite:///runs.db", "http://127.0.0.1:8000/v1", "postgresql://user@host/name", "jsonl:/tmp/a.jsonl",
                "write to a@b.c at 12:30", "provider/model:tag", "C:\\data\\runs.db", "",
            )
        ),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_password(address: str, said: str):
    """Of any scheme, also of one that does not exist, in a message as on its own."""
    assert masked(address) == said
    assert masked(said) == said


def test_reading_takes_time_in_proportion_to_the_text():
    """A provider's message cannot make showing it slow: none of these is left after a second of work."""
    for text in ("=" * 200_000 + "@", "a" * 200_000 + "@=:'", " a:" * 60_000 + "@=", "&" * 200_000 + "='@:"):
        assert len(masked(text)) <= len(text)


SECRET_PLACES = [
    f"postgres://bob:{PW}@127.0.0.1:1/x",
    f"postgresql+psycopg2://bob:{PW}@127.0.0.1:1/x",
    f"postgresql://bob:{PW}@127.0.0.1:1/x?connect_timeout=1",
    f"postgresql://bob:{PW}@127.0.0.1:notaport/x",
    f"mysql://bob:{PW}@h/x",
    f"nosuch://bob:{PW}@h",
    f"redis://:{PW}@h",
    f"postgres:/bob:{PW}@h",
    f"host=h user=bob password={PW}",
    f"sqlite:////nowhere/at/all.db?password={PW}",
]


@pytest.mark.filterwarnings("ignore:Query string argument")
@pytest.mark.parametrize("place", SECRET_PLACES)
def test_a_store_that_cannot_be_opened_is_named_without_its_password(place: str, capfd: pytest.CaptureFixture[str]):
    """In the error, in its causes and their tracebacks, and on the command line."""
    with pytest.raises(LabkitError) as caught:
        RunStore(place)

    assert PW not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert main(["runs", "--store", place]) == 1
    assert PW not in "".join(capfd.readouterr())


@pytest.mark.filterwarnings("ignore:Query string argument")
@pytest.mark.parametrize("place", SECRET_PLACES)
def test_records_that_cannot_be_kept_are_told_without_the_password(place: str):
    """Whether the address came from the environment or from the call."""
    script = "import desk; desk.support_desk(model='x')"
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parent,
        env={**os.environ, "LABKIT_RECORDS": place},
    )  # fmt: skip
    with pytest.raises(LabkitError) as caught:
        support_desk(sink=place)

    assert told.returncode == 1 and "labkit.errors" in told.stderr
    assert PW not in told.stderr + told.stdout
    assert PW not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


def test_a_model_is_shown_without_its_keys():
    """In a notebook its repr is what a cell puts out."""
    model = lk.Model("openai/m", base_url=f"https://bob:{PW}@gateway/v1?api-key={PW}", api_key=PW, temperature=0.5)

    assert repr(model) == ("Model('openai/m', base_url='https://bob:***@gateway/v1?api-key=***', temperature=0.5)")
    with pytest.raises(lk.CallInvalid) as caught:
        lk.GuardedCall("c", input=desk_input(), output=str, prompt=lk.Prompt(user="x"),
                       model=lk.Model("openai/m", base_url=f"bob:{PW}@gateway"))  # fmt: skip
    assert PW not in str(caught.value)


def desk_input() -> type:
    from desk import Ticket

    return Ticket


def test_a_pickle_names_the_variable_that_holds_the_key(monkeypatch: pytest.MonkeyPatch):
    """Whoever reads it has a key of their own, in an environment of their own."""
    monkeypatch.setenv("TEAM_KEY", PW)
    desk = support_desk().replace(model=lk.Model("openai/m", base_url="http://127.0.0.1:1/v1", api_key=PW))
    pickled = pickle.dumps(desk)
    assert PW.encode() not in pickled and b"TEAM_KEY" in pickled

    monkeypatch.setenv("TEAM_KEY", "another-key")
    model = pickle.loads(pickled)._parts.model

    assert model.api_key == "another-key"
    assert pickle.loads(pickled).fingerprint == desk.fingerprint


def test_a_key_that_stands_in_the_code_stays_where_it_is(caplog: pytest.LogCaptureFixture):
    """It is in no pickle; reading one says which variable to set. A copy is no pickle."""
    model = lk.Model("openai/m", api_key=PW)

    pickled = pickle.dumps(model)

    assert PW.encode() not in pickled
    assert pickle.loads(pickled).api_key is None
    assert "Set OPENAI_API_KEY here" in caplog.text
    assert copy.copy(model).api_key == copy.deepcopy(model).api_key == PW


@pytest.mark.filterwarnings("ignore:Query string argument")
def test_a_gateway_from_the_environment_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """And so is a place for records."""
    gateway, place = f"https://bob:{PW}@gateway/v1", f"jsonl:{tmp_path}/r.jsonl?token={PW}"
    monkeypatch.setenv("GATEWAY", gateway)
    monkeypatch.setenv("PLACE", place)
    desk = support_desk(sink=place).replace(model=lk.Model("openai/m", base_url=gateway))

    pickled = pickle.dumps(desk)

    assert PW.encode() not in pickled
    assert pickle.loads(pickled)._parts.model.base_url == gateway


def test_an_executed_notebook_holds_no_password(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """It is uploaded and mailed. The notebook itself is given the address whole."""
    parameters = nbformat.v4.new_code_cell("store = ''\nn = 1", metadata={"tags": ["parameters"]})
    check = f"assert store == 'postgresql://u:{PW[:4]}' + '{PW[4:]}@h/x' and n == 2\nprint(store)\nstore"
    book = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(check)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, tmp_path / "a.ipynb")
    place = f"postgresql://u:{PW}@h/x"

    ran = run_notebook(tmp_path / "a.ipynb", tmp_path / "out.ipynb", parameters={"store": place, "n": 2})
    text = ran.executed.read_text(encoding="utf-8")
    code = main(
        ["run", str(tmp_path / "a.ipynb"), "--out", str(tmp_path / "out"), "-p", "store", place, "-p", "n", "3"]
    )
    said = "".join(capfd.readouterr())

    assert PW not in text and f"u:{MASK}@h/x" in text
    assert json.loads(text)["metadata"]["papermill"]["parameters"] == {"store": f"postgresql://u:{MASK}@h/x", "n": 2}
    assert code == 1 and "AssertionError" in said
    assert PW not in said
    for path in (tmp_path / "out").iterdir():
        assert PW not in path.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_what_holds_answers_is_its_owners_alone(tmp_path: Path):
    """Stores, records and caches are made for nobody else to read; a file that is there keeps its mode."""
    before = os.umask(0)
    try:
        open_to_all = tmp_path / "mine.jsonl"
        open_to_all.touch(mode=0o644)
        policy = lk.Policy(cache=lk.Cache(path=str(tmp_path / "cache.db")))
        desk = support_desk(GOOD, sink=f"jsonl:{tmp_path}/new.jsonl", policy=policy)
        desk(text="hello")
        support_desk(GOOD, sink=f"jsonl:{open_to_all}")(text="hello")
        assert lk.flush()
        cases = evals.Dataset([evals.Case(id="a", input={"text": "t"})])
        evals.evaluate(desk, cases, store=f"sqlite:///{tmp_path}/runs.db", progress=False)
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes.pop("mine.jsonl") == 0o644
    assert {"new.jsonl", "cache.db", "runs.db"} <= modes.keys()
    assert set(modes.values()) == {0o600}
