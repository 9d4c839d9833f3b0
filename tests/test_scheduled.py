"""A notebook that nobody watches either ran to its end or is an error that says where it stopped."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import nbformat
import pytest

from labkit.scheduled import NotebookFailed, run_notebook

PROJECT = Path(__file__).resolve().parents[1]


def _write(path: Path, *cells: str, parameters: str = "") -> Path:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    if parameters:
        book.cells.insert(0, nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    return path


def test_a_notebook_runs_with_its_parameters(tmp_path: Path):
    """What is given replaces what the tagged cell says."""
    source = _write(tmp_path / "a.ipynb", "print(n + 1)", parameters="n = 1")

    ran = run_notebook(source, tmp_path / "deep" / "out.ipynb", parameters={"n": 41})

    assert "42" in ran.executed.read_text()


@pytest.mark.parametrize("cells", [("print(1)",), ("1 / 0",)], ids=["to its end", "to an error"])
def test_a_kernel_that_is_done_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], cells: tuple[str, ...]
):
    """An idle kernel that is interrupted at its end would say ``ERROR | KeyboardInterrupt``, though all is well."""
    source = _write(tmp_path / "a.ipynb", *cells)

    with contextlib.suppress(NotebookFailed):
        run_notebook(source, tmp_path / "out.ipynb")

    seen = capfd.readouterr()
    assert "ERROR" not in seen.err + seen.out and "KeyboardInterrupt" not in seen.err + seen.out


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("1 / 0", "2"), r"cell 1: ZeroDivisionError: division by zero"),
        (("import sys; sys.exit(0)", "print('never')"), "never ran|SystemExit"),
        (("import os; os._exit(0)", "print('never')"), "kernel|Kernel"),
    ],
)
def test_a_notebook_that_stops_early_has_failed(tmp_path: Path, cells: tuple[str, ...], said: str):
    """An exit with 0 or a dead kernel is no success: the rest never ran."""
    with pytest.raises(NotebookFailed, match=said):
        run_notebook(_write(tmp_path / "a.ipynb", *cells), tmp_path / "out.ipynb")


def test_a_misspelt_parameter_is_refused(tmp_path: Path):
    """papermill alone would only warn, and run with the default."""
    source = _write(tmp_path / "a.ipynb", "print(n)", parameters="n = 1")

    with pytest.raises(NotebookFailed, match=r"no parameter 'm'.* has n"):
        run_notebook(source, tmp_path / "out.ipynb", parameters={"m": 2})


def _nightly(tmp_path: Path, **parameters: object) -> dict[str, object]:
    out = tmp_path / "out"
    given = {"out": str(out), "store": f"sqlite:///{tmp_path}/runs.db"} | parameters
    run_notebook(
        PROJECT / "notebooks" / "eval_nightly.ipynb", out / "nightly.ipynb", parameters=given, cwd=PROJECT / "notebooks"
    )
    gate: dict[str, object] = json.loads((out / "gate.json").read_text())
    return gate


def test_a_good_night_passes_and_a_bad_one_fails_with_its_evidence(tmp_path: Path):
    """The nightly notebook: blessed once, then a prompt without examples is caught, report and gate on disk."""
    first = _nightly(tmp_path, bless=True)
    again = _nightly(tmp_path)

    with pytest.raises(NotebookFailed, match="QualityRegression: triage-nightly: pass rate"):
        _nightly(tmp_path, examples_per_intent=0, floor=0.5)

    bad = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert (first["verdict"], first["baseline_id"]) == ("pass", None)
    assert (again["verdict"], again["baseline_id"]) == ("pass", first["run_id"])
    assert (bad["verdict"], bad["baseline_id"]) == ("fail", first["run_id"])
    report = (tmp_path / "out" / "report.html").read_text()
    assert "is worse than" in report and "<script" not in report


@pytest.mark.parametrize("name", ["01_explore", "02_compare_prompts", "03_break_and_export", "eval_nightly"])
def test_the_notebooks_are_committed_clean(name: str):
    """No outputs and no counts: what a reader sees is what they run."""
    book = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)

    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None and cell.source.strip() for cell in code)


def test_the_exported_package_is_the_notebooks_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Notebook 03 runs headless, answers every case, and what it exports has the fingerprint it had there."""
    monkeypatch.setenv("LABKIT_STORE", f"sqlite:///{tmp_path}/runs.db")
    ran = run_notebook(
        PROJECT / "notebooks" / "03_break_and_export.ipynb",
        tmp_path / "03.ipynb",
        parameters={"out": str(tmp_path)},
        cwd=PROJECT / "notebooks",
    )

    text = ran.executed.read_text()
    marker = json.loads((tmp_path / "triage_feature" / "labkit-export.json").read_text())
    assert "0 were left without an answer" in text
    assert marker["fingerprint"][:12] in text
    assert "application/vnd.jupyter.widget-view" not in text
