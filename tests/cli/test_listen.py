"""Addresses to listen on, as options write them."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.cli.listen import listen_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5678", ("127.0.0.1", 5678)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:5678", ("::1", 5678)),
        ("[::]", ("::", 5678)),
        ("localhost:0", ("localhost", 0)),
        ("twins.example", ("twins.example", 5678)),
        ("10.0.0.5", ("10.0.0.5", 5678)),
        (":8000", ("127.0.0.1", 8000)),
        ("8000", ("127.0.0.1", 8000)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["", ":", "::1", "::1:5678", "host:", "host:port", "1.2.3.4:65536", "a b:1", "[::1]x"])
def test_what_is_none_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"write it as 127\.0\.0\.1:5678"):
        listen_address(text)


@given(st.text(max_size=30))
def test_any_text(text: str) -> None:
    try:
        host, port = listen_address(text)
    except argparse.ArgumentTypeError:
        return
    assert host
    assert 0 <= port <= 65535
