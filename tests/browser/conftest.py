"""A real JupyterLab and a real Chromium, isolated from the user's own settings and history."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("LABKIT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
_START_S = 120


class LabServer:
    """One JupyterLab on a free loopback port, with folders of its own for everything it writes."""

    def __init__(self, root: Path, own: Path) -> None:
        self.root, self._own = root, own
        self._token = os.urandom(16).hex()
        self.url = ""

    def start(self) -> LabServer:
        # no news toast over the notebook, no autosave racing the test
        for name, body in {
            "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
        }.items():
            file = self._own / "settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(body))
        folders = {
            "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
        }  # fmt: skip
        env = os.environ | {name: str(self._own / folder) for name, folder in folders.items()}
        env |= {
            "JUPYTER_TOKEN": self._token,
            "JUPYTER_PREFER_ENV_PATH": "1",
            "LABKIT_STORE": f"sqlite:///{self._own}/runs.db",
        }
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0",
            f"--ServerApp.root_dir={self.root}", "--LabApp.expose_app_in_browser=True",
        ]  # fmt: skip
        if os.geteuid() == 0:
            command.append("--allow-root")
        log = self._own / "log"
        with log.open("w") as out:
            self._process = subprocess.Popen(
                command, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        info = self._own / "runtime" / f"jpserver-{self._process.pid}.json"  # holds the port that was really chosen
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(log.read_text())
            with contextlib.suppress(OSError, ValueError):
                self.url = json.loads(info.read_text())["url"]
                self.api("status")
                return self
            time.sleep(0.05)
        raise TimeoutError(log.read_text())

    def api(self, path: str, method: str = "GET") -> Any:
        headers = {"Authorization": f"token {self._token}"}
        request = urllib.request.Request(f"{self.url}api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            body = response.read()
        return json.loads(body) if body else None

    def address_of(self, path: str) -> str:
        return f"{self.url}lab/tree/{path}?reset&token={self._token}"

    def stop_kernels(self) -> None:
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", "DELETE")

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.stop_kernels()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


class Notebook:
    """One notebook open in the browser."""

    def __init__(self, page: Page, lab: LabServer, path: str) -> None:
        self.page, self.lab, self.path = page, lab, path

    def open(self) -> Notebook:
        self.page.goto(self.lab.address_of(self.path))
        self.page.wait_for_function(
            "path => { const w = window.jupyterapp?.shell?.currentWidget;"
            " return !!w?.sessionContext && w.context.path === path }",
            arg=self.path,
            timeout=60_000,
        )
        # Both matter: running before the session is ready opens a 'Select Kernel' dialog and never resolves.
        self.eval(
            """async () => { const w = window.jupyterapp.shell.currentWidget;
            await w.context.ready; await w.sessionContext.ready; await w.sessionContext.session.kernel.info; }"""
        )
        return self

    def eval(self, js: str, arg: Any = None, limit_s: float = 60) -> Any:
        """page.evaluate has no timeout of its own: race every promise against one."""
        return self.page.evaluate(
            """([src, arg, ms]) => Promise.race([Promise.resolve((0, eval)('(' + src + ')')(arg)),
            new Promise((_, no) => setTimeout(() => no(new Error('no answer in time')), ms))])""",
            [js, arg, limit_s * 1000],
        )

    def run_all(self) -> bool:
        return bool(self.eval("() => window.jupyterapp.commands.execute('notebook:run-all-cells')", limit_s=120))

    def save(self) -> dict[str, Any]:
        """Save, and give what was written."""
        self.eval("async () => { await window.jupyterapp.shell.currentWidget.context.save() }")
        saved: dict[str, Any] = json.loads((self.lab.root / self.path).read_text())
        return saved

    def theme(self, name: str) -> None:
        self.eval("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: install the distribution's chromium, or set LABKIT_CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A server over a copy of the project's notebooks and data."""
    project = Path(__file__).resolve().parents[2]
    root = tmp_path_factory.mktemp("project")
    for folder in ("notebooks", "datasets"):
        shutil.copytree(project / folder, root / folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    server = LabServer(root, tmp_path_factory.mktemp("jupyter")).start()
    yield server
    server.stop()


@pytest.fixture
def page(chromium: Browser, lab: LabServer) -> Iterator[Page]:
    """A page that fails its test when a script fails or anything is fetched from elsewhere."""
    context = chromium.new_context(viewport={"width": 1360, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    outside: list[str] = []
    own = (lab.url, "data:", "blob:", "about:", lab.url.replace("http", "ws", 1))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(own) else outside.append(request.url))
    yield page
    context.close()
    lab.stop_kernels()
    assert not errors
    assert not outside


@pytest.fixture
def open_notebook(page: Page, lab: LabServer) -> Callable[[str], Notebook]:
    return lambda path: Notebook(page, lab, path).open()
