"""Notebooks as people leave them: any form of parameters, kernels of other machines, cells that are meant to raise."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.cli import main
from labkit.scheduled import NotebookFailed, run_notebook

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
JUDGE = """\
import datetime, json, pathlib
gate = {"judged_at": datetime.datetime.now(datetime.UTC).isoformat(), "verdict": "pass", "reason": "ok", "call": "t"}
pathlib.Path(out, "gate.json").write_text(json.dumps(gate))
"""


def written(path: Path, parameters: str, *cells: str | tuple[str, str], metadata: Any = PYTHON) -> Path:
    """Write a notebook; a cell may come with a tag."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})])
    for cell in cells:
        source, tags = (cell, []) if isinstance(cell, str) else (cell[0], [cell[1]])
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    data = json.loads(nbformat.writes(book))
    data["metadata"] = metadata
    path.write_text(json.dumps(data))
    return path


def night(notebook: Path, *given: str) -> int:
    return main(["run", str(notebook), "--out", str(notebook.parent / "out"), *given])


def output(folder: Path) -> str:
    """Give what the cells of the executed notebook printed."""
    (path,) = (folder / "out").glob("*.ipynb")
    book = nbformat.read(path, as_version=4)
    return "".join(o.text for cell in book.cells for o in cell.get("outputs", ()) if o.output_type == "stream")


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("n = 5  # n=5 means five\nstore = 'postgresql://h/db?sslmode=require'", "n, store"),
        ("budget: float | None = None\nname: str\nn: 'int' = 3  # type: int", "budget, name, n"),
        ("a = b = 1\nc, (d, *e) = 1, (2, 3)\n[f, g] = h = 1, 2", "a, b, c, d, e, f, g, h"),
        ("limits = dict(n=3, out=4)\nfound = f(x == 2)\ncheck = a <= b", "limits, found, check"),
        ('text = """\nb = c\nd = 1\n"""\nmodels = [\n    "a = b",\n]', "text, models"),
        ("if True:\n    mode = 'a'\nelse:\n    other = 1\ntry:\n    x = 1\nexcept E:\n    y = 2\nfinally:\n    z = 3",
         "mode, other, x, y, z"),
        ("def f(a=1):\n    inner = 2\nclass C:\n    field = 3\nl = lambda k=1: k\nt = [v for v in u]", "l, t"),
        ("%matplotlib inline\n!ls a=b\nn = 5\nd.x = 1\nd['k'] = 2\nimport os", "n"),
        ("# nothing = here", "none"),
        ("", "none"),
        ("größe = 1; z = 2", "größe, z"),
    ],
)  # fmt: skip
def test_every_name_that_the_tagged_cell_assigns_is_a_parameter(tmp_path: Path, source: str, names: str):
    """Whatever stands in its value, beside it or around it; and nothing else is one."""
    notebook = written(tmp_path / "a.ipynb", source)

    with pytest.raises(NotebookFailed) as caught:
        run_notebook(notebook, tmp_path / "b.ipynb", parameters={"?": 1})

    assert str(caught.value).endswith(f"has no parameter '?'; its cell tagged 'parameters' has {names}")


def test_a_parameters_cell_that_is_not_python_is_named_with_its_line(tmp_path: Path):
    """Rather than read as one without parameters."""
    with pytest.raises(NotebookFailed, match=r"a\.ipynb: its cell tagged 'parameters' is not Python: line 2: "):
        run_notebook(written(tmp_path / "a.ipynb", "n = 1\nm = = 2"), tmp_path / "b.ipynb")


def test_parameters_of_every_form_are_set_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """-p reads numbers as papermill does, -r takes the text as it stands; other names keep their defaults."""
    notebook = written(
        tmp_path / "a.ipynb",
        "out: str = 'x?y=1'  # a=b\nstore = 'a?b=c'\nn = m = 1\nlimits = dict(n=3)\ncommit = build = zip = ''",
        "print([store, n, m, limits, commit, build, zip])",
        JUDGE,
    )

    code = night(
        notebook, "-p", "store", "a=b", "-p", "n", "7", "-p", "limits", "None", "-p", "build", "1e3",
        "-r", "commit", "123e4567", "--raw", "zip", "007",
    )  # fmt: skip

    assert (code, capsys.readouterr().err) == (0, "")
    assert output(tmp_path) == "['a=b', 7, 1, None, '123e4567', 1000.0, '007']\n"


ADDRESS = 'postgresql://bob:p:w"\\é/1@db.example/runs?sslmode=require'


@pytest.mark.parametrize("last", ["print('done')", "raise ValueError(store)", "import os; os._exit(1)"])
def test_a_password_among_the_parameters_is_not_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], last: str
):
    """The notebook has it, its copy does not, in code, outputs or metadata, however the run ended; nor do messages."""
    notebook = written(
        tmp_path / "a.ipynb",
        "store = key = password = ''\napi_key = ''",
        "print(len(store), store, api_key)\nprint(repr(store))\nstore",
        last,
    )
    given = ("-p", "store", ADDRESS, "-r", "api_key", "sk-very-secret", "-p", "key", "stays")

    night(notebook, *given)

    copy = (tmp_path / "out" / "a.ipynb").read_text(encoding="utf-8")
    said = "".join(capsys.readouterr())
    assert f"{len(ADDRESS)} postgresql://bob:***@db.example/runs?sslmode=require ***" in copy
    assert 'store = \\"postgresql://bob:***@db.example' in copy and 'key = \\"stays\\"' in copy
    assert '"api_key": "***"' in copy
    for secret in ("p:w", "é/1", "sk-very"):
        assert secret not in copy and secret not in said


def test_a_path_with_braces_is_a_path(tmp_path: Path):
    """papermill alone would look for a parameter of that name."""
    folder = tmp_path / "{day}"
    folder.mkdir()

    assert night(written(folder / "a{0}.ipynb", "out = ''", JUDGE)) == 0


# --- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        {"kernelspec": None, "colab": {"provenance": []}},
    ],
    ids=["nothing", "no language", "null"],
)
def test_a_notebook_that_names_no_kernel_is_run_by_this_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metadata: Any
):
    """VS Code writes none before the first run, and Colab no language."""
    notebook = written(tmp_path / "a.ipynb", "out = ''", "import sys; print(sys.prefix)", JUDGE, metadata=metadata)

    assert (night(notebook), capsys.readouterr().err) == (0, "")
    assert output(tmp_path) == f"{sys.prefix}\n"


COLLEAGUE = {"kernelspec": {"name": "my-venv", "display_name": "x", "language": "python"}}


def test_a_kernel_of_another_machine_is_replaced_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    """The command says it on the terminal, the function in the log."""
    notebook = written(tmp_path / "a.ipynb", "out = ''", "import sys; print(sys.prefix)", JUDGE, metadata=COLLEAGUE)
    said = f"{notebook}: its kernel 'my-venv' is not here: 'python3', this Python's own, runs it instead"

    code, err = night(notebook), capsys.readouterr().err
    with caplog.at_level(logging.WARNING, logger="labkit.scheduled"):
        run_notebook(notebook, tmp_path / "b.ipynb", parameters={"out": str(tmp_path)})

    assert (code, err) == (0, f"{said} (another: --kernel NAME)\n")
    assert output(tmp_path) == f"{sys.prefix}\n"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_a_kernel_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """It wins over the notebook's; one that cannot start is refused with those that can."""
    spec = tmp_path / "jupyter" / "kernels" / "mine"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": "Mine", "language": "python", "env": {"WHOSE": "mine"}}
    (spec / "kernel.json").write_text(json.dumps(kernel))
    for name, broken in (("gone", json.dumps(kernel | {"argv": ["/no/such/python", *argv[1:]]})), ("broken", "{")):
        (spec.parent / name).mkdir()
        (spec.parent / name / "kernel.json").write_text(broken)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebook = written(tmp_path / "a.ipynb", "out = ''", "import os; print(os.environ['WHOSE'])", JUDGE)

    assert (night(notebook, "--kernel", "mine"), capsys.readouterr().err) == (0, "")
    assert output(tmp_path) == "mine\n"
    for name in ("yours", "gone", "broken"):
        assert night(notebook, "--kernel", name) == 1
        assert f"{notebook}: kernel {name!r} is not here; there are mine, python3" in capsys.readouterr().err


def test_a_notebook_of_another_language_is_not_run_as_python(tmp_path: Path):
    """Its kernel is named, and what would run it."""
    metadata = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}

    with pytest.raises(NotebookFailed, match=r"its kernel 'ir' \(R\) is not here; there are .*--kernel NAME"):
        run_notebook(written(tmp_path / "a.ipynb", "n <- 1", metadata=metadata), tmp_path / "b.ipynb")


# --- cells that raise -------------------------------------------------------------------------------------------------

MEANT = ("1 / 0", "raises-exception")


def test_a_cell_that_is_meant_to_raise_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The notebook goes on, passes, and is not marked as one that stopped."""
    notebook = written(tmp_path / "a.ipynb", "out = ''", MEANT, ("%nonsense", "raises-exception"), "print('on')", JUDGE)

    code, said = night(notebook), capsys.readouterr()

    assert (code, said.err) == (0, "")
    assert output(tmp_path).endswith("on\n")
    assert "papermill-error" not in (tmp_path / "out" / "a.ipynb").read_text()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("{}['colour']",), "cell 5: KeyError: 'colour' (see "),
        (("raise ValueError",), "cell 5: ValueError (see "),
        (("%nonsense 1", "1"), "cell 5: UsageError: Line magic function `%nonsense` not found. (see "),
        (("%%nonsense\n1", "1"), "cell 5: UsageError: Cell magic `%%nonsense` not found. (see "),
        (("%cd /no/such/place\n%run nothing.py",), "cell 5: "),
        (("import sys; sys.exit(0)", "1"), "never ran: the kernel ended before them"),
        (("import asyncio\nasync def lost(): raise KeyError('hue')\ntask = asyncio.create_task(lost())",),
         "a task that was never awaited failed: KeyError: 'hue'"),
    ],
    ids=["error", "no message", "magic", "cell magic", "run", "exit", "task"],
)  # fmt: skip
def test_what_is_not_meant_to_fail_is_still_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cells: tuple[str, ...], said: str
):
    """After a cell that is meant to raise as before it; and the reason is never empty."""
    notebook = written(tmp_path / "a.ipynb", "out = ''", MEANT, JUDGE, *cells)

    code, err = night(notebook), capsys.readouterr().err

    assert code == 1
    assert said in err and "Error: (see" not in err


def test_the_cell_that_stopped_the_notebook_is_marked_in_its_copy(tmp_path: Path):
    """Above it, and with a link at the top: not the one that was meant to raise."""
    with pytest.raises(NotebookFailed):
        run_notebook(written(tmp_path / "a.ipynb", "", MEANT, "{}['colour']"), tmp_path / "b.ipynb")

    cells = nbformat.read(tmp_path / "b.ipynb", as_version=4).cells
    assert "In [2]" in cells[0].source and "papermill-error-cell" in cells[3].source
    assert cells[4].source == "{}['colour']"
