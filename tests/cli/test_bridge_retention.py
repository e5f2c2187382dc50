"""What safetytwin bridge is told to keep."""

import argparse

import pytest

from safetytwin.bridge.server import BridgeOptions
from safetytwin.bridge.stores.base import Retention
from safetytwin.cli import bridge


def parsed(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    bridge.add_arguments(parser)
    return parser.parse_args(arguments)


def retention_of(monkeypatch, tmp_path, *arguments) -> Retention:
    given: list[BridgeOptions] = []
    monkeypatch.setattr("safetytwin.bridge.server.run_bridge", lambda options: given.append(options) or 0)
    assert bridge.run(parsed("--data", str(tmp_path), *arguments)) == 0
    with given[0].keep(tmp_path, lambda *_: None) as keeper:
        kept: Retention = keeper._retention
    return kept


def test_left_out_it_is_the_stores_own(monkeypatch, tmp_path) -> None:
    assert retention_of(monkeypatch, tmp_path) == Retention()


def test_what_is_given_reaches_the_store(monkeypatch, tmp_path) -> None:
    arguments = "--keep-days 2 --keep-sparse-days 7.5 --keep-hourly-days 30 --keep-bytes 20G".split()
    assert retention_of(monkeypatch, tmp_path, *arguments) == Retention(2, 7.5, 30, 20 << 30)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep-days", "0"),
        ("--keep-days", "nan"),
        ("--keep-days", "-1"),
        ("--keep-bytes", "0"),
        ("--keep-bytes", "2X"),
    ],
)
def test_nonsense_is_refused_with_what_would_be_right(arguments) -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parsed(*arguments)
