"""What DRM drivers write of a client: each oddity, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.drm_clients import shares_between
from safetytwin.collectors.drm_fdinfo import DrmClient, parse_fdinfo, parse_size
from safetytwin.collectors.drm_users import device_memory

HEAD = b"pos:\t0\ndrm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t5\n"


def parsed(data: bytes) -> DrmClient:
    client = parse_fdinfo(data)
    assert client is not None
    return client


def test_the_old_name_of_memory():
    client = parsed(HEAD + b"drm-memory-vram:\t12 KiB\ndrm-memory-gtt: \t1 MiB\n")
    assert client.memory == {"vram": 12 * 1024, "gtt": 1024**2}


def test_resident_is_better_than_total_in_any_order():
    for lines in (b"drm-resident-vram0:\t1\ndrm-total-vram0:\t9\n", b"drm-total-vram0:\t9\ndrm-resident-vram0:\t1\n"):
        assert parsed(HEAD + lines + b"drm-total-gtt: 4 KiB\n").memory == {"vram0": 1, "gtt": 4096}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("4096", 4096),
        ("12 KiB", 12288),
        ("3 MiB", 3 * 1024**2),
        ("1 GiB", 1024**3),
        ("0", 0),
        ("-1", None),
        ("7 parsecs", None),
        ("", None),
        ("KiB", None),
        ("99999999999999999999999", None),
        ("1.5 KiB", None),
    ],
)
def test_no_unit_is_bytes(value, size):
    assert parse_size(value) == size


def test_lines_that_make_no_sense_are_left_out():
    data = HEAD + b"drm-engine-gfx:\t12 ns\ndrm-engine-\t: 4\ndrm-engine-dec: many ns\n\xff\xfe\ndrm-cycles-rcs\n:::\n"
    client = parsed(data + b"drm-engine-capacity-gfx: 0\ndrm-engine-capacity-dec: 2\n")
    assert client.engines == {"gfx": 12}
    assert client.capacity == {"dec": 2}, "a capacity of 0 can't be"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"pos:\t0\nflags:\t02\n",
        b"drm-driver: nvidia-drm\n",
        b"drm-pdev: 0000:01:00.0\n",
        b"drm-client-id: 4\n",
        b"drm-pdev: 0000:01:00.0\ndrm-client-id: x\n",
    ],
)
def test_no_client_is_none(data):
    assert parse_fdinfo(data) is None


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_give_numbers_or_nothing(data, with_head):
    client = parse_fdinfo(HEAD + data if with_head else data)
    if client is not None:
        for numbers in (client.engines, client.cycles, client.total_cycles, client.capacity, client.memory):
            assert all(isinstance(number, int) and number >= 0 for number in numbers.values())


keys = st.sampled_from(["engine-gfx", "engine-capacity-gfx", "cycles-rcs", "total-cycles-rcs", "memory-vram"])
lines = st.lists(st.tuples(keys, st.integers(min_value=-1, max_value=2**70), st.sampled_from(["", " ns", " KiB"])))


@given(lines, lines, st.floats(min_value=0, max_value=1e6))
def test_shares_are_percentages_whatever_the_counters_do(before, after, elapsed):
    old, new = (
        parsed(HEAD + b"".join(f"drm-{key}: {value}{unit}\n".encode() for key, value, unit in part))
        for part in (before, after)
    )
    shares = shares_between((0.0, old), (elapsed, new))
    assert all(0 <= share <= 100 for share in shares.values())


def test_a_counter_that_falls_back_keeps_its_larger_value():
    old, new = parsed(HEAD + b"drm-engine-gfx: 1000000000 ns\n"), parsed(HEAD + b"drm-engine-gfx: 900000000 ns\n")
    assert shares_between((0.0, old), (10.0, new)) == {"gfx": 0.0}
    later = parsed(HEAD + b"drm-engine-gfx: 2000000000 ns\n")
    assert shares_between((10.0, new), (20.0, later)) == {"gfx": 10.0}


def test_capacity_divides():
    text = "drm-engine-video: {} ns\ndrm-engine-capacity-video: 2\n"
    old, new = (parsed(HEAD + text.format(value).encode()) for value in (0, 10_000_000_000))
    assert shares_between((0.0, old), (10.0, new)) == {"video": 50.0}


def test_memory_of_the_gpu_itself_where_it_has_some():
    assert device_memory({"vram0": 5, "gtt": 7, "system0": 9}) == 5
    assert device_memory({"local0": 5, "local1": 6, "system0": 9}) == 11
    assert device_memory({"system0": 9, "stolen-system0": 1}) == 10
    assert device_memory({}) is None
