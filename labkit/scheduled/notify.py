"""Word of a failed night to whoever should know: mail, chat, a webhook, by apprise."""

from __future__ import annotations

import os

from labkit.errors import MissingDependency, NotificationFailed

__all__ = ["NotificationFailed", "notify"]


def notify(title: str, body: str, *, urls: str | None = None) -> bool:
    """Send word; say whether there was anybody to send it to.

    Args:
        title: One line.
        body: Plain text.
        urls: apprise's addresses, separated by spaces; None: what LABKIT_NOTIFY says.

    Raises:
        NotificationFailed: An address is not one, or did not take it. Addresses hold passwords: none is shown.
        MissingDependency: apprise is not installed.
    """
    addresses = (os.environ.get("LABKIT_NOTIFY", "") if urls is None else urls).split()
    if not addresses:
        return False
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise MissingDependency("apprise", extra="notify", purpose="LABKIT_NOTIFY") from error
    post = apprise.Apprise()
    for number, address in enumerate(addresses, 1):
        if not post.add(address):
            raise NotificationFailed(f"address {number} of LABKIT_NOTIFY is none that apprise knows: see its list")
    if not post.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
        raise NotificationFailed("not every address of LABKIT_NOTIFY took the message")
    return True
