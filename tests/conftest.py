"""What holds for every test: interrupts interrupt, and those that drive a browser run in a process of their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Take SIGINT, and so let children take it, also where a shell put the tests into the background: there it is
    inherited as ignored, and whoever waits for an interrupt waits for ever."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them. Playwright's sync API keeps an event loop running in the main thread, where others start theirs."""
    for item in items:
        if "browser" in item.path.parent.name or "browser" in item.path.name:
            item.add_marker(pytest.mark.browser)
