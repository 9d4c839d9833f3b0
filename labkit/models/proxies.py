"""Which proxy the environment names for an address, and for which addresses it names none."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.request
from typing import TYPE_CHECKING

from labkit.errors import ModelError

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["PROXY_VARIABLES", "proxy_for"]

PROXY_VARIABLES = {
    scheme: tuple(spelled for name in (f"{scheme}_proxy", "all_proxy", "no_proxy") for spelled in (name, name.upper()))
    for scheme in ("http", "https")
}
"""Those that count for each scheme. Reading one takes 1 microsecond: those of the other are left alone."""

_LOCAL = {"localhost": ("127.0.0.1", "::1")}


def proxy_for(target: URL) -> URL | None:
    """Give the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names for *target*, None where NO_PROXY names it.

    Raises:
        ModelError: Outcome ``bug``: it is no proxy that can be spoken to.
    """
    from yarl import URL

    named = urllib.request.getproxies_environment()
    address = named.get(target.scheme) or named.get("all")
    if not address or _is_excepted(target.host or "", target.port, named.get("no", "")):
        return None
    variable = next(
        (name for name in PROXY_VARIABLES[target.scheme] if os.environ.get(name) == address), "the environment"
    )
    scheme = address.partition("://")[0].lower() if "://" in address else "http"
    if scheme not in ("http", "https"):
        kind = "a SOCKS proxy" if scheme.startswith("socks") else f"a proxy of scheme {scheme!r}"
        raise ModelError(
            f"{variable} names {kind}, which labkit does not speak to: set {target.scheme}_proxy to an HTTP proxy, "
            f"or name {target.host} in no_proxy if it can be reached without",
            outcome="bug",
        )
    try:
        return URL(address if "://" in address else f"http://{address}")
    except ValueError as error:
        raise ModelError(f"{variable} is no address of a proxy: {error}", outcome="bug") from error


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Whether a NO_PROXY list names *host*: a domain and all within, ``*.domain``, an address, a network, ``*``; each
    also with a port."""
    return any(_names(entry, host.lower().rstrip("."), port) for entry in re.split(r"[\s,;]+", exceptions) if entry)


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, given = _split(entry.lower())
    if given is not None and given != port:
        return False
    addresses = _LOCAL.get(host, (host,))
    if "/" in name or _is_address(name):
        return any(_is_within(address, name) for address in addresses)
    domain = name.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Take a port from an entry's end: "host:8080", "[::1]:8080"; "::1" has none."""
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d+))?", entry)
    if bracketed is not None:
        return bracketed[1], int(bracketed[2]) if bracketed[2] else None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and ":" not in name:
        return name, int(port)
    return entry, None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_within(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
