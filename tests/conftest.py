"""Which tests drive a browser: they run in a process of their own."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them. Playwright's sync API keeps an event loop running in the main thread, where others start theirs."""
    for item in items:
        if "browser" in item.path.parent.name or "browser" in item.path.name:
            item.add_marker(pytest.mark.browser)
