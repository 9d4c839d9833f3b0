"""A notebook for tests: a real IPython shell, whose cells run as Jupyter's do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labkit.errors import ExportRefused
from labkit.export.exported import Exported

MODELS = """\
from typing import Literal
from pydantic import BaseModel, Field
import labkit as lk
from labkit import export

class Ticket(BaseModel):
    text: str = Field(min_length=1)

class Triage(BaseModel):
    intent: Literal["card", "other"]
    urgency: int = 2
"""


class Notebook:
    """Runs cells in order and exports what they made. In[1] makes Ticket and Triage; a test's own cells follow."""

    def __init__(self, shell: Any, directory: Path) -> None:
        self.shell = shell
        self.directory = directory
        self.run(MODELS)

    def run(self, *cells: str, fails: bool = False) -> Notebook:
        for cell in cells:
            result = self.shell.run_cell(cell, store_history=True)
            assert result.success is not fails, f"{result.error_before_exec or result.error_in_exec!r} in:\n{cell}"
        return self

    def call(self, parts: str = "", *, prompt: str = '"{{ input.text }}"') -> Notebook:
        """Run a cell that makes ``triage`` with *parts*, more arguments as source."""
        return self.run(
            f"triage = lk.GuardedCall('triage', input=Ticket, output=Triage, prompt=lk.Prompt(user={prompt}), "
            f'model=lk.ScriptedModel(\'{{"intent": "card"}}\'), {parts})'
        )

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def package(self, name: str = "triage") -> Exported:
        """Run the export as a cell of its own."""
        result = self.shell.run_cell(
            f"from labkit import export as _export\n_exported = _export.package({name}, {str(self.directory)!r})",
            store_history=True,
        )
        result.raise_error()
        exported: Exported = self["_exported"]
        return exported

    def code(self, name: str = "triage") -> str:
        """The module that an export writes."""
        exported = self.package(name)
        return (exported.directory / "src" / exported.module / "feature.py").read_text()

    def refusal(self, name: str = "triage") -> str:
        """The message of an export that is refused, having left nothing behind."""
        with pytest.raises(ExportRefused) as refused:
            self.package(name)
        assert not self.directory.exists()
        assert list(self.directory.parent.iterdir()) == []
        return re.sub(r"\s+", " ", str(refused.value))


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A fresh session in its own ``__main__``; the process gets its own back afterwards."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False  # no database; In and Out work as ever
    main = sys.modules["__main__"]
    hooks = sys.displayhook, sys.excepthook
    shell = InteractiveShell.instance(config=config, user_module=ModuleType("__main__"))
    (tmp_path / "exports").mkdir()
    try:
        yield Notebook(shell, tmp_path / "exports" / "triage_feature")
    finally:
        InteractiveShell.clear_instance()
        shell.restore_sys_module_state()
        sys.modules["__main__"] = main
        sys.displayhook, sys.excepthook = hooks
