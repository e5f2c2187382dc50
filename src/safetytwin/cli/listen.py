"""Addresses to listen on, as options write them."""

import argparse
import re

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5678

_ADDRESS = re.compile(
    r"(?:(\[[0-9a-fA-F:.%a-z]+\]|[A-Za-z0-9._-]+)?:)?([0-9]{1,5})|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)", re.ASCII
)


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT, [IPv6]:PORT, :PORT, PORT or HOST; what is left out is loopback's 5678.

    Port 0 is any that is free. Raises argparse.ArgumentTypeError.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2] or 0) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address to listen on; write it as 127.0.0.1:5678, [::1]:5678 or 5678"
        )
    host = (match[1] or match[3] or DEFAULT_HOST).strip("[]")
    return host, DEFAULT_PORT if match[2] is None else int(match[2])
