"""What reaches outside the program: files, the network, other processes, the keyboard."""

from __future__ import annotations

import ast

from labkit.export.imports import qualified
from labkit.export.statements import Statement
from labkit.export.timeline import Timeline

__all__ = ["reaches_outside"]


def reaches_outside(function: ast.expr, statement: Statement, timeline: Timeline) -> str | None:
    """Say what calling *function* does: "reads a file (pd.read_csv)"; None when nothing of this kind is known of it."""
    if isinstance(function, ast.Attribute) and function.attr in _FILE_METHODS:
        return f"reads a file ({function.attr})"
    name = qualified(function, statement, timeline)
    if name is None:
        return None
    for what, known in _OUTSIDE.items():
        if any(name == one or (one.endswith((".", "_")) and name.startswith(one)) for one in known):
            return f"{what} ({ast.unparse(function)})"
    return None


_FILE_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "rglob"})
_OUTSIDE = {
    "reads a file": (
        "open",
        "bz2.open",
        "codecs.open",
        "fileinput.",
        "glob.",
        "gzip.open",
        "io.open",
        "joblib.load",
        "labkit.evals.Dataset.load",
        "labkit.evals.cases.Dataset.load",
        "linecache.",
        "lzma.open",
        "numpy.fromfile",
        "numpy.genfromtxt",
        "numpy.load",
        "numpy.loadtxt",
        "os.listdir",
        "os.open",
        "os.scandir",
        "os.stat",
        "os.walk",
        "pandas.read_",
        "pathlib.Path.open",
        "polars.read_",
        "polars.scan_",
        "shelve.open",
        "shutil.",
        "sqlite3.connect",
        "tarfile.open",
        "tempfile.",
        "zipfile.ZipFile",
    ),
    "asks the keyboard": ("input", "getpass.getpass"),
    "reaches the network or another process": (
        "datasets.load_dataset",
        "ftplib.",
        "http.client.HTTPConnection",
        "http.client.HTTPSConnection",
        "httpx.delete",
        "httpx.get",
        "httpx.head",
        "httpx.patch",
        "httpx.post",
        "httpx.put",
        "httpx.request",
        "httpx.stream",
        "huggingface_hub.",
        "os.popen",
        "os.system",
        "requests.delete",
        "requests.get",
        "requests.head",
        "requests.patch",
        "requests.post",
        "requests.put",
        "requests.request",
        "smtplib.",
        "socket.create_connection",
        "socket.socket",
        "subprocess.",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
    ),
}
"""Full names; one that ends with "." or "_" stands for all that begin so."""
