"""What is not installed by default, and the extra that brings it.

    with needs("scipy", "a confidence interval"):
        from scipy.special import betaincinv

One table, so that every part of labkit names the same extra for the same package; a test holds it to pyproject.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

from labkit.errors import MissingDependency

__all__ = ["BROUGHT_BY", "needs", "spec_of"]

BROUGHT_BY: Mapping[str, tuple[str, str]] = {
    "IPython": ("IPython", "lab"),
    "anywidget": ("anywidget", "lab"),
    "apprise": ("apprise", "notify"),
    "cloudpickle": ("cloudpickle", "dask"),
    "distributed": ("distributed", "dask"),
    "jsonpath": ("python-jsonpath", "evals"),
    "litellm": ("litellm", "litellm"),
    "matplotlib": ("matplotlib", "lab"),
    "numpy": ("numpy", "evals"),
    "openfeature": ("openfeature-sdk", "flags"),
    "pandas": ("pandas", "lab"),
    "papermill": ("papermill", "lab"),
    "psycopg": ("psycopg", "postgres"),
    "pyarrow": ("pyarrow", "lab"),
    "rapidfuzz": ("rapidfuzz", "evals"),
    "redis": ("redis", "redis"),
    "regex": ("regex", "evals"),
    "scipy": ("scipy", "evals"),
    "sqlalchemy": ("SQLAlchemy", "evals"),
    "statsmodels": ("statsmodels", "lab"),
    "traitlets": ("traitlets", "lab"),
    "yaml": ("PyYAML", "evals"),
}
"""Distribution and extra by the name that is imported."""


@contextmanager
def needs(module: str, purpose: str) -> Iterator[None]:
    """Say of an import in the block that fails what to install.

    Args:
        module: What is imported, as in ``BROUGHT_BY``.
        purpose: What it is wanted for, as a noun phrase.

    Raises:
        MissingDependency: It cannot be imported.
    """
    try:
        yield
    except MissingDependency:
        raise
    except ImportError as error:
        package, extra = BROUGHT_BY[module]
        lacking = _lacking(error)
        if lacking is None:
            why = f"cannot be imported ({' '.join(str(error).split())})"
            raise MissingDependency(package, extra=extra, purpose=purpose, why=why) from error
        # what is missing may be something that the package itself stands on
        package, extra = BROUGHT_BY.get(lacking, (lacking, extra))
        raise MissingDependency(package, extra=extra, purpose=purpose) from error


def _lacking(error: BaseException | None) -> str | None:
    """Give the module that was not found in the end; packages wrap it, and pandas 2 puts it into a text."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        if found := re.search(r"No module named '(\w+)", str(error)):
            return found[1]
        error = error.__cause__ or error.__context__
    return None


def spec_of(module: str) -> ModuleSpec | None:
    """Find a module without importing it; None where it cannot be had, also where a finder refuses it."""
    try:
        return find_spec(module)
    except ImportError:
        return None
