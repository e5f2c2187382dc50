"""The files of /proc/PID, parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.process_trees import stat_line
from safetytwin.collectors.process_parsing import (
    parse_cmdline,
    parse_environment,
    parse_exe,
    parse_io,
    parse_stat,
    parse_statm,
    parse_status,
    socket_inode,
)
from safetytwin.models.fields import MAX_INTEGER


@given(comm=st.binary(max_size=16), ticks=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)))
def test_a_name_may_hold_any_byte(comm, ticks):
    stat = parse_stat(stat_line(7, comm, ppid=3, ticks=ticks, nice=-5, threads=4, start=12345))
    assert stat is not None
    assert stat.name == comm.decode("utf-8", "replace")
    assert (stat.ppid, stat.cpu_ticks, stat.nice, stat.threads, stat.start_ticks) == (3, sum(ticks), -5, 4, 12345)


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data):
    parse_stat(data)
    parse_stat(b"1 (a) S " + data)
    parse_statm(data, 4096, None)
    parse_io(data)
    parse_status(data)
    parse_environment(data)
    for number in (parse_statm(data, 4096, None), parse_io(data)):
        for name in number.__struct_fields__ if number is not None else ():
            value = getattr(number, name)
            assert value is None or 0 <= value <= MAX_INTEGER


@given(st.lists(st.binary(max_size=20).filter(lambda one: b"\0" not in one), min_size=2, max_size=8))
def test_arguments_are_exact(arguments):
    arguments[-1] = b"end"
    data = b"".join(argument + b"\0" for argument in arguments)
    assert parse_cmdline(data) == [argument.decode("utf-8", "replace") for argument in arguments]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"prog\0", ["prog"]),
        (b"prog\0\0", ["prog", ""]),
        (b"prog\0\0\0", ["prog", "", ""]),
        (b"\0", [""]),
        (b"prog\0\0-x\0\0\0\0\0", ["prog", "", "-x", "", "", "", ""]),
        (b"nginx: worker process\0\0\0", ["nginx: worker process"]),
        (b"VLLM::EngineCore\0\0\0\0", ["VLLM::EngineCore"]),
        (b"postgres: writer", ["postgres: writer"]),
    ],
)
def test_empty_arguments_and_titles(data, expected):
    assert parse_cmdline(data) == expected


def test_exec_changes_the_fingerprint_and_time_does_not():
    before = parse_stat(stat_line(7, ticks=(1, 1)))
    assert parse_stat(stat_line(7, ticks=(9, 9))).fingerprint == before.fingerprint
    moved = stat_line(7).replace(b"140732011588624", b"140732011588000")
    assert parse_stat(moved).fingerprint != before.fingerprint
    assert parse_stat(stat_line(7, b"other")).fingerprint != before.fingerprint


def test_a_number_that_means_none_is_none():
    io = parse_io(b"rchar: 18446744073709551615\nwchar: 5\n")
    assert (io.read_chars, io.write_chars, io.read_bytes) == (None, 5, None)
    assert parse_io(b"nothing\n") is None
    assert parse_statm(b"18446744073709551615 1 1 1 0 1 0", 4096, 0).vms is None


@pytest.mark.parametrize(
    ("link", "expected"),
    [("socket:[4711]", 4711), ("socket:[x]", None), ("/tmp/socket:[4711]", None), ("pipe:[4711]", None)],
)
def test_a_socket_is_told_by_its_link(link, expected):
    assert socket_inode(link) == expected


def test_of_a_name_given_twice_the_first_holds():
    assert parse_environment(b"A=1\0A=2\0B=x=y\0nonsense\0=z\0E=\0") == {"A": "1", "B": "x=y", "E": ""}


def test_a_deleted_executable():
    assert parse_exe("/opt/app (deleted)") == ("/opt/app", True)
    assert parse_exe("/opt/app") == ("/opt/app", False)
