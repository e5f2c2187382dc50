import gzip
import json
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.bridge.limits import MIB, Limits, check_count, check_depth, inflate
from safetytwin.bridge.problems import Problem

LIMITS = Limits()


def zstd(data, level=3):
    return zstandard.ZstdCompressor(level=level).compress(data)


def zstd_without_size(data):
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("", bytes),
        ("identity", bytes),
        ("zstd", zstd),
        ("ZSTD", zstd),
        ("zstd", zstd_without_size),
        ("gzip", gzip.compress),
    ],
)
def test_a_body_comes_back_as_it_was(encoding, compress):
    data = json.dumps(list(range(200_000))).encode()
    assert inflate(compress(data), encoding, LIMITS) == data


@pytest.mark.parametrize(
    ("encoding", "compress"), [("zstd", zstd), ("zstd", zstd_without_size), ("gzip", gzip.compress)]
)
def test_a_body_that_inflates_without_end_is_refused_without_the_memory(encoding, compress):
    bomb = compress(bytes(300 * MIB))
    assert len(bomb) < MIB
    limits = Limits(inflated=4 * MIB)
    tracemalloc.start()
    with pytest.raises(Problem) as caught:
        inflate(bomb, encoding, limits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < 32 * MIB  # far below the 300 it says it is


def test_exactly_the_cap_is_let_through():
    limits = Limits(inflated=MIB)
    for encoding, compress in (("zstd", zstd), ("zstd", zstd_without_size), ("gzip", gzip.compress)):
        assert len(inflate(compress(bytes(MIB)), encoding, limits)) == MIB
        with pytest.raises(Problem):
            inflate(compress(bytes(MIB + 1)), encoding, limits)


def test_a_frame_that_wants_a_huge_window_is_refused():
    parameters = zstandard.ZstdCompressionParameters.from_level(19, window_log=27, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = compressor.compress(b"[]") + compressor.flush()
    with pytest.raises(Problem) as caught:
        inflate(body, "zstd", LIMITS)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", b""), ("gzip", b"{}"), ("zstd", b"{}"), ("zstd", bytes(100)), ("gzip", bytes(100))]
)
def test_what_is_not_what_it_says_is_refused(encoding, body):
    with pytest.raises(Problem) as caught:
        inflate(body, encoding, LIMITS)
    assert caught.value.status == 400


def test_a_gzip_body_that_breaks_off_is_refused():
    with pytest.raises(Problem) as caught:
        inflate(gzip.compress(b"[1, 2, 3]" * 1000)[:-4], "gzip", LIMITS)
    assert caught.value.status == 400


def test_frames_one_after_the_other_are_one_body():
    assert inflate(zstd(b"[") + zstd(b"1") + zstd(b",2]"), "zstd", LIMITS) == b"[1,2]"


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd, gzip", "\x00"])
def test_other_encodings_are_415_and_say_what_is_understood(encoding):
    with pytest.raises(Problem) as caught:
        inflate(b"", encoding, LIMITS)
    assert caught.value.status == 415
    assert "zstd, gzip" in caught.value.headers["Accept-Encoding"]


@given(st.binary(), st.sampled_from(["zstd", "gzip"]))
def test_any_bytes_inflate_or_are_a_problem(body, encoding):
    try:
        inflate(body, encoding, LIMITS)
    except Problem as problem:
        assert 400 <= problem.status < 500  # noqa: PT017 - either outcome is right


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('[]{}"\\, :aé\n')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('[]{}"\\x')), inner),
)


@given(json_values, st.booleans())
def test_depth_is_counted_exactly_whatever_strings_hold(value, compact):
    data = json.dumps(value, ensure_ascii=compact, separators=(",", ":") if compact else None).encode()
    depth = depth_of(value)
    check_depth(data, Limits(depth=depth))
    if depth:
        with pytest.raises(Problem) as caught:
            check_depth(data, Limits(depth=depth - 1))
        assert caught.value.status == 422


def test_brackets_in_strings_hide_no_depth():
    deep = '["]",' * 40 + '"x"' + ',"["]' * 40
    with pytest.raises(Problem):
        check_depth(deep.encode(), LIMITS)
    assert depth_of(json.loads(deep)) == 40


def test_many_tiny_values_are_refused_for_the_memory_they_would_take():
    data = b"[" + b"[]," * 2_000_000 + b"[]]"
    with pytest.raises(Problem) as caught:
        check_count(data, Limits(values=1_000_000))
    assert caught.value.status == 413
    check_count(b"[" + b'"' + b"," * 10 + b'"]', Limits(values=100))
