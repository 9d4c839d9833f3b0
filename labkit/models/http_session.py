"""Connections to providers: one session for each event loop, and the way to a host that the environment names."""

from __future__ import annotations

import asyncio
import atexit
import base64
import contextlib
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from labkit.errors import ModelError
from labkit.models.proxies import PROXY_VARIABLES, proxy_for

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

__all__ = ["Route", "route_to", "session"]

_CLOSE_WAIT_S = 1.0
_TLS_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")
_NO_CERTIFICATES = (None, None, None)


# --- sessions ---------------------------------------------------------------------------------------------------------

_Kept = tuple["aiohttp.ClientSession", AsyncGenerator[None, None]]
_sessions: dict[asyncio.AbstractEventLoop, _Kept] = {}
_lock = threading.Lock()


async def session() -> aiohttp.ClientSession:
    """Give the session of the running loop: its connections are shared by every client and closed with the loop."""
    loop = asyncio.get_running_loop()
    kept = _sessions.get(loop)
    if kept is None or kept[0].closed:
        kept = await _opened()
        with _lock:
            for gone in [each for each in _sessions if each.is_closed()]:
                del _sessions[gone]
            _sessions[loop] = kept
    return kept[0]


async def _opened() -> _Kept:
    import aiohttp

    opened = aiohttp.ClientSession(
        # No limit here: how many requests may run at once is the pipeline's to say.
        connector=aiohttp.TCPConnector(limit=0),
        # No timeouts either; aiohttp's own would be 300 s in all and 30 s to connect.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "labkit"},
    )
    keeper = _closed_with_its_loop(opened)
    await anext(keeper)
    return opened, keeper


async def _closed_with_its_loop(opened: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Wait at the ``yield`` until the loop ends: ``asyncio.run`` closes the generators that are left.

    A loop has no other hook for its end, and a session that outlives its loop cannot be closed any more.
    """
    try:
        yield
    finally:
        await opened.close()


@atexit.register
def _close_the_rest() -> None:
    """Close what loops leave that end with the process: the sync bridge's, a kernel's."""
    for loop, (opened, _) in list(_sessions.items()):
        with contextlib.suppress(RuntimeError, TimeoutError):
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(opened.close(), loop).result(_CLOSE_WAIT_S)
            elif not loop.is_closed():
                loop.run_until_complete(opened.close())


# --- routes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes, and how it gets there.

    Args:
        url: Where it goes.
        proxy: Through which proxy; without its password.
        headers: To send with the request: to the proxy, where that reads them.
        proxy_headers: To send when the proxy is asked for a tunnel, which TLS needs.
        tls: Whom to trust; True is for addresses without TLS.
        is_openai: It is OpenAI's own address.
    """

    url: URL
    proxy: URL | None
    headers: Mapping[str, str]
    proxy_headers: Mapping[str, str] | None
    tls: ssl.SSLContext | bool
    is_openai: bool


def route_to(url: str) -> Route:
    """Give the way to *url* that the environment prescribes now.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name proxies, in either case; SSL_CERT_FILE, REQUESTS_CA_BUNDLE and
    SSL_CERT_DIR name certificates to trust instead of the system's.

    Raises:
        ModelError: Outcome ``bug``: the certificates that the environment names cannot be read, or its proxy cannot be
            spoken to.
    """
    read = os.environ.get
    if url.startswith("http:"):
        return _route(url, tuple(map(read, PROXY_VARIABLES["http"])), _NO_CERTIFICATES)
    return _route(url, tuple(map(read, PROXY_VARIABLES["https"])), tuple(map(read, _TLS_VARIABLES)))


@lru_cache(maxsize=256)
def _route(url: str, proxies: tuple[str | None, ...], certificates: tuple[str | None, ...]) -> Route:
    from yarl import URL

    target = URL(url)
    is_tls = target.scheme == "https"
    proxy = proxy_for(target)  # reads the variables that are part of the key
    credentials = {} if proxy is None else _basic_auth(proxy.user, proxy.password)
    return Route(
        url=target,
        proxy=proxy.with_user(None) if proxy is not None else None,
        headers={} if is_tls else credentials,
        proxy_headers=credentials if is_tls and credentials else None,
        tls=_trusting(*certificates) if is_tls else True,
        is_openai=f".{target.host}".endswith(".api.openai.com"),
    )


def _basic_auth(user: str | None, password: str | None) -> dict[str, str]:
    if not user:
        return {}
    return {"Proxy-Authorization": "Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode()}


@lru_cache(maxsize=8)
def _trusting(cert_file: str | None, bundle: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """One context for all: making one reads every certificate, 20 ms and more."""
    for name, place in zip(_TLS_VARIABLES, (cert_file, bundle, cert_dir), strict=True):
        # OpenSSL ignores what is not there, and every certificate is then "self-signed"
        if place and not os.path.exists(place):
            raise ModelError(f"{name}={place} does not exist: correct it, or unset it", outcome="bug")
    if cert_file or cert_dir or not bundle:
        return ssl.create_default_context()  # OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR by itself
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except ssl.SSLError as error:
        raise ModelError(f"REQUESTS_CA_BUNDLE={bundle} holds no certificates: {error}", outcome="bug") from error
