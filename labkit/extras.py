"""What is not installed by default, and the extra that brings it.

    with needs("scipy", "a confidence interval"):
        from scipy.special import betaincinv

One table, so that every part of labkit names the same extra for the same package; a test holds it to pyproject.toml.
"""

from __future__ import annotations

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
    except ModuleNotFoundError as error:
        # what is missing may be something that the package itself stands on
        missing = (error.name or module).partition(".")[0]
        package, extra = BROUGHT_BY.get(missing, BROUGHT_BY[module])
        raise MissingDependency(package, extra=extra, purpose=purpose) from error
    except ImportError as error:
        package, extra = BROUGHT_BY[module]
        why = f"cannot be imported ({' '.join(str(error).split())})"
        raise MissingDependency(package, extra=extra, purpose=purpose, why=why) from error


def spec_of(module: str) -> ModuleSpec | None:
    """Find a module without importing it; None where it cannot be had, also where a finder refuses it."""
    try:
        return find_spec(module)
    except ImportError:
        return None
