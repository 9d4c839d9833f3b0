"""``labkit ...`` ends with a code that a scheduler can trust, and says why in words."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import nbformat
import pytest
from desk import GOOD, STOLEN, support_desk

from labkit import evals
from labkit.cli import main
from labkit.store.runs import RunStore

PROJECT = Path(__file__).resolve().parents[1]
NIGHTLY = str(PROJECT / "notebooks" / "eval_nightly.ipynb")

JUDGE = """
import datetime, json, pathlib
gate = {"judged_at": datetime.datetime.now(datetime.UTC).isoformat(), "verdict": verdict, "reason": "why", "call": "c"}
pathlib.Path(out, "gate.json").write_text(json.dumps(gate))
"""


def notebook(folder: Path, *cells: str) -> str:
    parameters = nbformat.v4.new_code_cell("out = ''\nverdict = 'pass'", metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, cells)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "night.ipynb"
    nbformat.write(book, path)
    return str(path)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ([], 0, "pass after"),
        (["-p", "verdict", "fail"], 2, "regression after"),
        (["-p", "verdict", "inconclusive"], 0, "inconclusive after"),
        (["-p", "verdict", "inconclusive", "--strict"], 3, "inconclusive after"),
        (["-p", "verdict", "splendid"], 1, "is no verdict"),
        (["-p", "verdikt", "pass"], 1, "no parameter 'verdikt'"),
    ],
    ids=["pass", "fail", "inconclusive", "strict", "nonsense", "misspelt"],
)
def test_the_verdict_is_the_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], given: list[str], code: int, said: str
):
    """What gate.json says is what the process ends with."""
    found = main(["run", notebook(tmp_path, JUDGE), "--out", str(tmp_path / "out"), *given])

    assert found == code
    assert said in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("1",), "gate.json is missing: the notebook judged nothing"),
        ((JUDGE, "1 / 0"), "ZeroDivisionError"),
        ((JUDGE, "import sys; sys.exit(0)", "1"), "never ran"),
        ((JUDGE, "import os; os._exit(0)"), "kernel died"),
        (
            (JUDGE, "import asyncio\nasync def lost(): raise KeyError('colour')\nkept = asyncio.create_task(lost())"),
            "never awaited failed: KeyError: 'colour'",
        ),
        (
            (JUDGE, "import asyncio\nasync def lost(): raise KeyError('hue')\nasyncio.create_task(lost());", "1"),
            "never awaited failed: KeyError: 'hue'",
        ),
        (
            (JUDGE, "import asyncio\nasync def late():\n    await asyncio.sleep(0.2)\n    raise KeyError('late')\n"
             "task = asyncio.create_task(late())"),
            "never awaited failed: KeyError: 'late'",
        ),
    ],
    ids=["no-gate", "raises", "exits", "dies", "lost-task", "collected-task", "late-task"],
)  # fmt: skip
def test_a_notebook_that_did_not_do_its_work_has_not_passed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], cells: tuple[str, ...], said: str
):
    """Also where papermill itself would end with 0, and whatever gate.json says."""
    assert main(["run", notebook(tmp_path, *cells), "--out", str(tmp_path / "out")]) == 1
    assert said in capfd.readouterr().err


def test_a_verdict_of_yesterday_is_no_verdict(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """A notebook that judged nothing does not pass by what an earlier one left."""
    out = tmp_path / "out"
    assert main(["run", notebook(tmp_path, JUDGE), "--out", str(out)]) == 0

    assert main(["run", notebook(tmp_path, "1"), "--out", str(out)]) == 1
    assert "is of an earlier run" in capfd.readouterr().err


def test_a_notebook_that_is_none_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Not there, or no notebook: a reason and 1, no traceback."""
    (tmp_path / "broken.ipynb").write_text("{")

    whole = Path(notebook(tmp_path, JUDGE))
    before = whole.read_bytes()
    assert main(["run", str(whole), "--out", str(tmp_path)]) == 1
    assert whole.read_bytes() == before
    assert main(["run", str(tmp_path / "nowhere.ipynb"), "--out", str(tmp_path)]) == 1
    assert main(["run", str(tmp_path / "broken.ipynb"), "--out", str(tmp_path)]) == 1

    said = capfd.readouterr().err
    assert "would take the notebook's own place" in said
    assert "nowhere.ipynb is not there" in said and "broken.ipynb cannot be read as a notebook" in said
    assert "Traceback" not in said


def test_a_misused_command_is_not_a_regression(capfd: pytest.CaptureFixture[str]):
    """Argparse's own exit code, 2, has another meaning here."""
    for command, said in ((["run", "night.ipynb"], "--out"), (["history", "x", "--last", "0"], "from 1 on")):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 1 and said in capfd.readouterr().err


def test_the_command_is_installed_and_names_its_commands():
    """Beside the Python that has labkit; a reader that stops early, as head does, is no error worth a traceback."""
    command = str(Path(sys.executable).with_name("labkit"))

    said = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    cut = subprocess.run([f"{command} runs --help | head -c 1"], shell=True, capture_output=True, text=True)

    assert all(name in said for name in ("run", "runs", "compare", "history", "bless", "export"))
    assert "Traceback" not in cut.stderr


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An address that takes what apprise posts."""
    taken: list[dict[str, str]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/", taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_failed_night_is_told(
    tmp_path: Path, webhook: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
):
    """Whoever LABKIT_NOTIFY names hears the verdict and the reason; of a night that passed nobody hears."""
    address, taken = webhook
    monkeypatch.setenv("LABKIT_NOTIFY", address)
    source = notebook(tmp_path, JUDGE)

    assert main(["run", source, "--out", str(tmp_path / "a")]) == 0
    assert taken == []
    assert main(["run", source, "--out", str(tmp_path / "b"), "-p", "verdict", "fail"]) == 2
    assert "labkit: regression" in taken[0]["title"] and "c: why" in taken[0]["message"]


def test_a_night_that_somebody_should_look_at_is_told(
    tmp_path: Path, webhook: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
):
    """Not enough evidence, and a pass with a loss that was allowed, end with 0 and are told nevertheless."""
    address, taken = webhook
    monkeypatch.setenv("LABKIT_NOTIFY", address)
    allowed = JUDGE.replace('"call": "c"', '"call": "c", "attention": ["worse, which was allowed"]')

    assert main(["run", notebook(tmp_path, JUDGE), "--out", str(tmp_path / "a"), "-p", "verdict", "inconclusive"]) == 0
    assert main(["run", notebook(tmp_path, allowed), "--out", str(tmp_path / "b")]) == 0
    assert ["inconclusive" in taken[0]["title"], "pass" in taken[1]["title"]] == [True, True]


def test_word_that_cannot_be_sent_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """It is said, without the address, which may hold a password."""
    monkeypatch.setenv("LABKIT_NOTIFY", "carrier-pigeon://secret@coop")

    assert main(["run", notebook(tmp_path, JUDGE), "--out", str(tmp_path / "o"), "-p", "verdict", "fail"]) == 2
    said = capfd.readouterr().err
    assert "address 1 of LABKIT_NOTIFY is none that apprise knows" in said and "secret" not in said


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Two finished runs, "old" and "new", and one that was only begun."""
    url = f"sqlite:///{tmp_path}/runs.db"
    cases = evals.Dataset(
        [evals.Case(id=f"c{n}", input={"text": f"t {n}"}, expected={"intent": "card_arrival"}) for n in range(20)]
    )
    for run_id, reply in (("old", STOLEN), ("new", GOOD)):
        evals.evaluate(
            support_desk(reply), cases, scorers=[evals.ExactMatch("intent")], store=url, run_id=run_id, progress=False
        )
    return url


def test_runs_are_listed_compared_blessed_and_exported(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """From a terminal, with nothing but their ids."""
    assert main(["bless", "new", "--store", store]) == 0
    assert main(["runs", "--store", store]) == 0
    assert main(["compare", "old", "new", "--store", store]) == 0
    assert main(["compare", "old", "new", "new", "--store", store]) == 0
    assert main(["history", "triage", "--store", store]) == 0
    assert main(["export", "new", str(tmp_path / "rows.jsonl"), "--store", store]) == 0

    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "new is the baseline of triage from now on"
    assert "a gate with a margin of 2 points" in lines[1] and "an unchanged version passes on" in lines[2]
    header = next(n for n, line in enumerate(lines) if line.startswith("run "))
    new, old = lines[header + 1 : header + 3]
    assert new.split()[0] == "new" and new.endswith("baseline") and "100.0%" in new
    assert old.split()[0] == "old" and "0.0%" in old and not old.endswith("baseline")
    assert "triage (new) is better than triage (old) by 100.0 points" in said
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["compare", "old", "newer"], "holds no run 'newer'; the latest are: new, old"),
        (["bless", "x"], "holds no run 'x'"),
        (["export", "new", "rows.xls"], "ends in .jsonl or .parquet"),
        (["history", "nobody"], "nobody"),
    ],
)
def test_what_is_not_there_is_said(store: str, capsys: pytest.CaptureFixture[str], command: list[str], said: str):
    """A reason on stderr and 1, no traceback."""
    assert main([*command, "--store", store]) == 1
    assert said in capsys.readouterr().err


def test_a_store_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """And an empty one says so."""
    assert main(["runs", "--store", "nonsense"]) == 1
    assert main(["runs", "--store", f"sqlite:///{tmp_path}/new.db"]) == 0
    assert capsys.readouterr().out == f"no runs yet in sqlite:///{tmp_path}/new.db\n"


def night(tmp_path: Path, name: str, *given: str) -> int:
    store = f"sqlite:///{tmp_path}/runs.db"
    options = ["-p", "store", store, "-p", "limit", "400", *given]
    return main(["run", NIGHTLY, "--out", str(tmp_path / name), *options])


def test_a_hidden_regression_of_eight_points_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On 400 real queries: the same prompt again passes; one with half the examples, 8 points worse, ends with 2."""
    monkeypatch.chdir(PROJECT)

    assert night(tmp_path, "first", "-p", "bless", "True") == 0
    assert night(tmp_path, "again") == 0
    assert night(tmp_path, "worse", "-p", "examples_per_intent", "5") == 2

    gate = json.loads((tmp_path / "worse" / "gate.json").read_text())
    floor, regression = (next(c for c in gate["checks"] if c["name"] == name) for name in ("pass_rate", "regression"))
    assert regression["verdict"] == "fail" and -0.09 < regression["seen"] < -0.07
    assert floor["verdict"] == "pass"  # no floor gave it away
    assert "is worse than" in (tmp_path / "worse" / "report.html").read_text()
    assert "<failure" in (tmp_path / "worse" / "junit.xml").read_text()
    with RunStore(f"sqlite:///{tmp_path}/runs.db") as kept:
        assert len(kept.headings(call="triage-nightly")) == 3


def test_bare_papermill_ends_with_1_and_two_lines(tmp_path: Path):
    """Twice in a row without labkit's command: the second is worse, and its reason is the last thing said."""

    def papermill(*given: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "papermill", NIGHTLY, str(tmp_path / "out.ipynb"), "--no-progress-bar"]
        store = f"sqlite:///{tmp_path}/runs.db"
        options = ["-p", "store", store, "-p", "out", str(tmp_path / "out"), "-p", "limit", "400", *given]
        return subprocess.run([*command, *options], capture_output=True, text=True, cwd=PROJECT)

    first, second = papermill("-p", "bless", "True"), papermill("-p", "examples_per_intent", "5")

    assert (first.returncode, second.returncode) == (0, 1), second.stderr
    reason = second.stderr[second.stderr.index("QualityRegression") :].strip().splitlines()
    assert len(reason) == 2 and "triage-nightly: pass rate" in reason[0] and "against baseline" in reason[1]
    seen = evals.history("triage-nightly", store=f"sqlite:///{tmp_path}/runs.db")
    assert len(seen.points) == 2 and "prompt" in seen.points[1].changes


def kept_runs(store: Path, *run_ids: str) -> None:
    cases = evals.Dataset([evals.Case(id=f"c{n}", input={"text": f"t{n}"}) for n in range(2)])
    for run_id in run_ids:
        evals.evaluate(support_desk(), cases, store=store, run_id=run_id, progress=False,
                       scorers=[lambda case, result: True])  # fmt: skip


def test_a_run_is_known_by_the_end_of_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As comparisons print it; by every command that takes a run, and by load_run."""
    store = tmp_path / "runs.db"
    kept_runs(store, "20261125-035004-39a14f", "20261125-040000-0b1c2d")
    at = ["--store", str(store)]

    assert main(["compare", "035004-39a14f", "0b1c2d", *at]) == 0
    assert "(035004-39a14f)" in capsys.readouterr().out
    assert main(["bless", "39a14f", *at]) == 0
    assert capsys.readouterr().out.startswith("20261125-035004-39a14f is the baseline")
    assert main(["export", "040000-0b1c2d", str(tmp_path / "rows.jsonl"), *at]) == 0
    assert json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])["run_id"] == "20261125-040000-0b1c2d"
    assert evals.load_run("39a14f", store=store).run_id == "20261125-035004-39a14f"


def test_an_end_that_several_ids_have_is_answered_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """And a whole id is that run, whatever ends in it."""
    store = tmp_path / "runs.db"
    kept_runs(store, "monday-night", "tuesday-night", "night")
    at = ["--store", str(store)]

    assert main(["bless", "night", *at]) == 0
    assert capsys.readouterr().out.startswith("night is the baseline")
    kept_runs(store, "a-x-night", "b-x-night")
    assert main(["bless", "x-night", *at]) == 1
    said = capsys.readouterr().err
    assert "holds 2 runs 'x-night'" in said and "a-x-night" in said and "b-x-night" in said
    for unknown in ("ight", "%", "", "_"):
        assert main(["bless", unknown, *at]) == 1
        assert "holds no run" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["runs"], ["history", "triage"]], ids=["runs", "history"])
def test_times_say_their_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
):
    """Wherever the reader is, it is known which hour is meant."""
    kept_runs(tmp_path / "runs.db", "one")
    with RunStore(tmp_path / "runs.db") as store:
        started = store.heading("one").started_at[:16].replace("T", " ")
    monkeypatch.setenv("TZ", "America/Los_Angeles")

    assert main([*command, "--store", str(tmp_path / "runs.db")]) == 0

    header, line = capsys.readouterr().out.splitlines()[:2]
    at = header.index("started (UTC)")
    assert line[at : at + 16] == started
