"""Addresses are read as people write them; what cannot be read is refused in words."""

from __future__ import annotations

import pytest

from batuta_rpc.target import Target, is_loopback, parse


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://host:1234", Target("host:1234", False)),
        ("http://host", Target("host:8480", False)),
        ("host", Target("host:8480", False)),
        ("host:1234", Target("host:1234", False)),
        (" http://host:1234/ ", Target("host:1234", False)),
        ("https://batuta.example.org", Target("batuta.example.org:443", True)),
        ("https://host:8480", Target("host:8480", True)),
        ("http://[::1]:1234", Target("[::1]:1234", False)),
        ("127.0.0.1:80", Target("127.0.0.1:80", False)),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, target: Target) -> None:
    assert parse(text) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("ftp://host", "http"),
        ("http://host:99999", "cannot dial"),
        ("http://host:port", "cannot dial"),
        ("http://host/api", "only the scheme"),
        ("http://me:secret@host", "only the scheme"),
        ("http://:80", "no host"),
    ],
)
def test_an_address_that_cannot_be_dialled_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_loopback_is_known_from_the_rest() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))
    assert not any(map(is_loopback, ("10.0.0.1", "0.0.0.0", "::", "example.org")))


def test_the_host_of_an_ipv6_target_has_no_brackets() -> None:
    assert parse("http://[::1]:1").host == "::1"
