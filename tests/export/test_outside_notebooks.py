"""The same export of a call that a module or a script made, and of one in a notebook that papermill runs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import labkit
from labkit import export
from labkit.errors import ExportRefused

CODE = '''\
"""A feature."""
import labkit as lk
from labkit import export
from pydantic import BaseModel

class Ticket(BaseModel):
    text: str

unused = 1
# The tone of voice.
tone = "kind"
tone = tone + " and brief"

triage = lk.GuardedCall("triage", input=Ticket, output=str, model="offline/nearest",
    prompt=lk.Prompt(user="{{ tone }}: {{ input.text }}", values={"tone": tone}))
'''


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


def run(arguments: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(Path(labkit.__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "IPYTHONDIR": str(cwd / "ipython")}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def test_a_call_of_an_imported_module_is_packaged_from_its_file(tmp_path, monkeypatch):
    """The file stands for one executed cell; a name bound twice in it is no stale object."""
    (tmp_path / "made_by_hand.py").write_text(CODE)
    module = load(tmp_path / "made_by_hand.py", monkeypatch)

    exported = export.package(module.triage, tmp_path / "dist" / "triage_feature")

    code = (exported.directory / "src/triage_feature/feature.py").read_text()
    assert '# The tone of voice.\ntone = "kind"\ntone = tone + " and brief"\n' in code
    assert "unused" not in code and "export" not in code


def test_a_refusal_names_the_file_and_line(tmp_path, monkeypatch):
    """There is no In[3] in a module."""
    (tmp_path / "reads_a_file.py").write_text(CODE.replace('tone = "kind"', 'tone = open("/dev/null").read()'))
    module = load(tmp_path / "reads_a_file.py", monkeypatch)

    with pytest.raises(ExportRefused) as refused:
        export.package(module.triage, tmp_path / "triage_feature")

    assert "reads_a_file.py, line 11 (triage needs tone needs tone): reads a file (open)" in str(refused.value)


def test_a_script_exports_its_own_call(tmp_path):
    """Also from under ``if __name__ == "__main__"``, which does not go along."""
    shipping = (
        'if __name__ == "__main__":\n    print(repr(export.package(triage, "triage_feature")))\n    tone = "late"\n'
    )
    (tmp_path / "ship.py").write_text(CODE + shipping)

    done = run([tmp_path / "ship.py"], tmp_path)

    assert "from triage_feature import triage" in done.stdout, done.stderr
    code = (tmp_path / "triage_feature/src/triage_feature/feature.py").read_text()
    assert "__main__" not in code and "tone = tone" in code


def test_a_notebook_that_papermill_runs_exports_its_call(tmp_path):
    """The kernel is the same; what it injects counts as a cell, and earlier failures are not forgotten."""
    pytest.importorskip("papermill", reason="another Python is tested without JupyterLab, to be quick")
    import nbformat

    cells = [
        ("tone = 'kind'", ["parameters"]),
        ("import labkit as lk\nfrom pydantic import BaseModel\nclass Ticket(BaseModel):\n    text: str", []),
        ("draft = 1\nraise ValueError('on purpose')", ["raises-exception"]),
        (
            "triage = lk.GuardedCall('triage', input=Ticket, output=str, model='offline/nearest',\n"
            "    prompt=lk.Prompt(user='{{ tone }}: {{ input.text }}', values={'tone': tone}))",
            [],
        ),
        ("from labkit import export\nexport.package(triage, 'triage_feature')", []),
        ("late = triage.replace(name='late', prompt=lk.Prompt(user=f'{draft} {{{{ input.text }}}}'))", []),
        ("export.package(late, 'late_feature')", []),
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "in.ipynb")

    done = run(["-m", "papermill", "in.ipynb", "out.ipynb", "-p", "tone", "brief", "--no-progress-bar"], tmp_path)

    code = (tmp_path / "triage_feature/src/triage_feature/feature.py").read_text()
    assert 'tone = "brief"' in code and "kind" not in code
    assert done.returncode == 1
    assert "In[4], line 1 (late needs draft): In[4] raised an exception" in done.stderr
    assert not (tmp_path / "late_feature").exists()
