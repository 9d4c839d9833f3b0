"""Which addresses a NO_PROXY list names, and which proxies can be spoken to."""

from __future__ import annotations

import pytest
from yarl import URL

from labkit.errors import ModelError
from labkit.models.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("exceptions", "host", "is_direct"),
    [
        ("127.0.0.0/8", "127.1.2.3", True),
        ("127.0.0.0/8", "128.0.0.1", False),
        ("127.0.0.0/8", "localhost", True),
        ("127.0.0.1", "localhost", True),
        ("10.0.0.0/8,192.168.0.0/16", "192.168.7.1", True),
        ("10.0.0.1/8", "10.9.9.9", True),
        ("10.0.0.0/8", "10.example.com", False),
        ("fd00::/8", "[fd00::7]", True),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("[::1]:8000", "[::1]:8000", True),
        ("[::1]:8000", "[::1]:8001", False),
        ("::1", "[::2]", False),
        ("*", "api.example.com", True),
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", True),
        (".example.com", "api.example.com", True),
        (".example.com", "example.com", True),
        ("*.example.com", "api.example.com", True),
        ("EXAMPLE.com", "api.Example.COM", True),
        ("example.com", "notexample.com", False),
        ("example.com", "example.com.attacker.net", False),
        ("example.com:8000", "example.com:8000", True),
        ("example.com:8000", "example.com:8001", False),
        ("example.com:80", "example.com", True),
        ("a.com b.com", "b.com", True),
        (" a.com , b.com ", "b.com", True),
        ("", "example.com", False),
        (",,", "example.com", False),
        ("300.0.0.0/8,127.0.0.0/99,/8", "127.0.0.1", False),
    ],
)
def test_a_no_proxy_list_is_read_as_its_writers_meant_it(
    exceptions: str, host: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
):
    """Domains and all within, wildcards, addresses, networks, ports; what makes no sense names nothing."""
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", exceptions)

    assert (proxy_for(URL(f"http://{host}/v1")) is None) is is_direct


@pytest.mark.parametrize(
    ("variables", "target", "proxy"),
    [
        ({"http_proxy": PROXY}, "http://a.com", PROXY),
        ({"http_proxy": PROXY}, "https://a.com", None),
        ({"HTTPS_PROXY": PROXY}, "https://a.com", PROXY),
        ({"ALL_PROXY": PROXY}, "https://a.com", PROXY),
        ({"ALL_PROXY": "socks5://b", "https_proxy": PROXY}, "https://a.com", PROXY),
        ({"http_proxy": "proxy.example:3128"}, "http://a.com", PROXY),
        ({"http_proxy": ""}, "http://a.com", None),
        ({}, "http://a.com", None),
    ],
)
def test_the_variable_of_the_scheme_comes_first(
    variables: dict[str, str], target: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
):
    """As with curl and everybody else."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    found = proxy_for(URL(target))

    assert found == (None if proxy is None else URL(proxy))


@pytest.mark.parametrize("address", ["socks5://b:1", "SOCKS5H://b", "pac+http://b", "ftp://b", "http://b:port"])
def test_a_proxy_that_cannot_be_spoken_to_is_a_fault_of_the_environment(address: str, monkeypatch: pytest.MonkeyPatch):
    """Said with the variable that names it; its password is not repeated."""
    monkeypatch.setenv("HTTPS_PROXY", address.replace("//", "//user:hidden@"))

    with pytest.raises(ModelError, match="HTTPS_PROXY") as caught:
        proxy_for(URL("https://a.com"))

    assert caught.value.outcome == "bug"
    assert "hidden" not in str(caught.value)
