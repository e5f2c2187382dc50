"""Headers that lie, end early or claim to be huge: no crash, no read past the limits, an end within bounded time."""

import functools
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parts import model_files as made
from safetytwin.workloads.formats import detect
from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import READ_LIMIT, Cursor, HeaderSource
from safetytwin.workloads.formats.transformers_config import described

CONFIG_KEYS = (
    *("architectures", "model_type", "quantization_config", "quantization", "text_config", "torch_dtype", "dtype"),
    *("bits", "quant_method", "config_groups", "weights", "num_bits", "load_in_4bit", "peft_type", "n_ctx"),
    *("max_position_embeddings", "base_model_name_or_path"),
)


class Recorded:
    """Bytes of a claimed size whose reads are recorded; beyond the bytes, filling repeats without end."""

    def __init__(self, data, size=None, filling=b"\0"):
        self.data, self.size, self.filling = data, len(data) if size is None else size, filling
        self.total = 0

    def read(self, offset, length):
        assert 0 <= offset <= offset + length <= self.size, "a read past the end"
        self.total += length
        assert self.total <= READ_LIMIT, "a read past the limit"
        known = self.data[offset : offset + length]
        left, width = length - len(known), len(self.filling)
        phase = (offset + len(known)) % width
        return known + (self.filling * (left // width + 2))[phase : phase + left]

    def source(self, seconds=20.0):
        return HeaderSource(self.read, self.size, deadline=time.monotonic() + seconds)


def check(data):
    """Read bytes as whatever they are; what comes out is a Part or nothing, within the limits."""
    recorded = Recorded(data)
    part = detect.parse(recorded.source())
    assert part is None or isinstance(part, Part)
    if part is not None:
        assert part.header.size == len(data)


@functools.cache
def samples():
    """Return a whole file of each format."""
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        makers = (
            functools.partial(
                made.write_gguf, name="Tiny", facts=[("add_token_list", ["a", "bc"]), ("add_file_type", 7)]
            ),
            functools.partial(made.write_gguf, big_endian=True),
            made.write_safetensors,
            made.write_torch_zip,
            made.write_keras,
        )
        written = []
        for number, maker in enumerate(makers):
            with open(maker(os.path.join(folder, str(number))), "rb") as file:
                written.append(file.read())
    return (
        *written,
        made.gguf_v1(),
        made.torch_legacy(),
        made.onnx(made.onnx_tensor((3, 4), 1, bytes(48)), made.onnx_tensor((2,), location="data")),
        made.ctranslate2(),
        made.hdf5(),
        made.hdf5(version=2),
        made.tflite(),
        made.whisper_ggml(),
        made.llama_ggml(),
    )


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_damaged_files_of_every_format(data):
    original = data.draw(st.sampled_from(samples()))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        patch = data.draw(st.one_of(st.binary(min_size=1, max_size=9), st.just(b"\xff" * 8), st.just(bytes(8))))
        damaged[at : at + len(patch)] = patch
    check(bytes(damaged))
    check(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize("number", range(14))
def test_a_file_cut_short_anywhere(number):
    whole = samples()[number]
    for end in {*range(min(len(whole), 700)), *range(len(whole) - 200, len(whole))}:
        check(whole[: max(end, 0)])


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(
        (
            b"GGUF\3\0\0\0",
            b"GGUF\0\0\0\3",
            b"lmgg",
            b"tjgg",
            b"PK\x03\x04",
            b"MZqFpD",
            b"\x80\x02",
            b"\x08\x09\x12",
            b"\x89HDF\r\n\x1a\n",
            b"\x06\0\0\0\x08\0ToySpec\0",
            b"    TFL3",
            b'\x40\0\0\0\0\0\0\0{"',
        )
    ),
    st.binary(max_size=600),
)
def test_anything_behind_the_first_bytes_of_a_format(start, rest):
    check(start + rest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(CONFIG_KEYS), inner, max_size=6),
    max_leaves=30,
)


@settings(deadline=None)
@given(JSON, JSON)
def test_any_configuration_beside_a_model(config, adapter):
    header = ModelHeader("safetensors", 100, parameters=50)
    said = {"config.json": config, "adapter_config.json": adapter}
    found = described(header, {"I32": 5, "U8": 3}, said.get)
    assert (found.format, found.size) == ("safetensors", 100)
    assert found.parameters is None or found.parameters > 0
    assert all(
        value is None or isinstance(value, str) for value in (found.architecture, found.quantization, found.kind)
    )


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    check(data)


def u64(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


HUGE = 2**50
GGUF = b"GGUF" + struct.pack("<I", 3)
STRINGS = u64(1) + b"k" + struct.pack("<IIQ", 9, 8, HUGE // 16)
NESTED = u64(1) + b"k" + struct.pack("<IIQ", 9, 9, 65_536)


@pytest.mark.parametrize(
    ("start", "filling"),
    [
        pytest.param(GGUF + u64(1_000_000, 0), b"\0", id="a million tensors without name"),
        pytest.param(GGUF + u64(1_000_000, 0), u64(2**40), id="tensors with names of a terabyte"),
        pytest.param(GGUF + u64(0, 65_536), b"\0", id="65,536 keys without name"),
        pytest.param(GGUF + u64(0, 1) + STRINGS, b"\0", id="an array of 70 trillion empty strings"),
        pytest.param(GGUF + u64(0, 1) + STRINGS, u64(2**20), id="an array of strings that are leapt over"),
        pytest.param(GGUF + u64(0, 65_536) + NESTED, struct.pack("<IQ", 9, 65_536), id="arrays in arrays in arrays"),
        pytest.param(GGUF + u64(0, 65_536), u64(2**33), id="a key longer than allowed"),
        pytest.param(
            b"\x08\x09\x12\x01x\x3a\xff\xff\xff\xff\xff\xff\x7f", b"\x0a\x00", id="an ONNX graph of empty nodes"
        ),
        pytest.param(
            b"\x08\x09\x12\x01x\x3a\xff\xff\xff\xff\xff\xff\x7f", b"\x2a\x00", id="an ONNX graph of empty tensors"
        ),
        pytest.param(b"\x08\x09\x12\x01x", b"\x80", id="an ONNX number without end"),
        pytest.param(b"\x06\0\0\0\x08\0ToySpec\0" + struct.pack("<II", 1, 1_000_000), b"\0", id="a million variables"),
        pytest.param(u64(100_000_000) + b'{"dtype"', b" ", id="safetensors with the longest header"),
        pytest.param(u64(2**24) + b'{"dtype"', b"[", id="safetensors with brackets"),
        pytest.param(b"PK\x03\x04", b"PK\x05\x06\xff", id="a zip of ends"),
        pytest.param(b"PK\x03\x04", b"PK\x05\x06" + b"\xff" * 14 + b"\0\0", id="a zip that claims all"),
    ],
)
def test_a_huge_file_is_read_within_the_limits(start, filling):
    recorded = Recorded(start, HUGE, filling)
    before = time.monotonic()
    part = detect.parse(recorded.source(seconds=2.0))
    assert part is None or part.header.problem is not None or part.header.size == HUGE
    assert recorded.total <= READ_LIMIT
    assert time.monotonic() - before < 120  # two seconds are allowed; the rest is for a slow machine


def test_the_time_limit_ends_a_long_header():
    recorded = Recorded(GGUF + u64(0, 1) + STRINGS, HUGE)
    source = recorded.source(seconds=-1)
    with pytest.raises(HeaderError, match="takes too long"):
        source.read(0, 4)
    assert source.gave_up
    assert recorded.total == 0


def test_the_byte_limit_holds_over_all_reads_of_a_file():
    source = HeaderSource.of_bytes(bytes(100), read_limit=60)
    source.read(0, 40)
    with pytest.raises(HeaderError, match="longer than what is read"):
        source.read(0, 21)
    assert source.read(0, 20) == bytes(20)


def test_what_is_skipped_is_not_read():
    recorded = Recorded(b"", HUGE)
    cursor = Cursor(recorded.source())
    cursor.take(4)
    cursor.skip(HUGE - 8)
    assert cursor.take(4) == bytes(4)
    assert recorded.total <= 16 * 1024
    with pytest.raises(HeaderError):
        cursor.skip(1)
    with pytest.raises(HeaderError):
        cursor.skip(-1)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=200), st.lists(st.tuples(st.sampled_from(("take", "skip")), st.integers(0, 40))))
def test_a_cursor_gives_the_bytes_in_order(data, steps):
    cursor, at = Cursor(HeaderSource.of_bytes(data)), 0
    for step, length in steps:
        if at + length > len(data):
            with pytest.raises(HeaderError):
                getattr(cursor, step)(length)
            return
        if step == "take":
            assert cursor.take(length) == data[at : at + length]
        else:
            cursor.skip(length)
        at += length
        assert cursor.offset == at
