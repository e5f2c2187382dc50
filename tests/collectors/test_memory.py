import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import fixture_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.memory import MemoryCollector, available, parse_meminfo, parse_vmstat
from safetytwin.models.hardware import Memory, MemoryLimit

KIB = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", ["memory/no-swap-lines", "memory/swap-of-size-zero"])
def test_no_swap_is_null(name):
    memory = MemoryCollector().collect(fixture_look(name))
    assert memory.swap is None
    assert memory.total == 8_000_000 * KIB
    assert (memory.available, memory.used) == (5_000_000 * KIB, 3_000_000 * KIB)
    assert memory.usage_percent == 37.5
    assert memory.free == 1_000_000 * KIB
    assert (memory.buffers, memory.cached) == (100_000 * KIB, 2_150_000 * KIB)
    assert (memory.shared, memory.slab, memory.dirty) == (300_000 * KIB, 250_000 * KIB, 120 * KIB)
    assert (memory.huge_pages_total, memory.huge_pages_free, memory.huge_page_size) == (4, 1, 2048 * KIB)
    assert (memory.pressure, memory.limit, memory.oom_kills) == (None, None, None)


def test_kernels_without_mem_available_get_an_estimate():
    memory = MemoryCollector().collect(fixture_look("memory/no-mem-available"))
    assert memory.available == (1_000_000 + 100_000 + 2_000_000 + 150_000 - 300_000) * KIB


def test_without_the_parts_of_an_estimate_available_is_null():
    assert available({"MemTotal": 5, "MemFree": 3}) is None


def test_swap_rates_are_null_first_and_never_negative():
    collector = MemoryCollector()
    first = collector.collect(fixture_look("memory/swapping/first", monotonic=5.0))
    assert (first.swap.total, first.swap.used, first.swap.free) == (1000 * KIB, 250 * KIB, 750 * KIB)
    assert (first.swap.in_per_second, first.swap.out_per_second) == (None, None)
    assert first.oom_kills == 3
    assert (first.pressure.some_avg10, first.pressure.full_avg300) == (2.0, 0.25)
    second = collector.collect(fixture_look("memory/swapping/second", monotonic=15.0))
    assert second.swap.in_per_second == 10 * PAGE / 10
    assert second.swap.out_per_second is None  # the counter went back
    assert second.swap.usage_percent == 50
    assert second.oom_kills == 4


@pytest.mark.parametrize("name", ["memory/limited-by-cgroup-v1", "memory/limited-by-cgroup-v2"])
def test_the_limit_of_a_container(name):
    memory = MemoryCollector().collect(fixture_look(name))
    assert memory.limit == MemoryLimit(limit=1073741824, used=500_000_000)


@pytest.mark.parametrize("name", ["memory/cgroup-v1-without-limit", "memory/cgroup-v2-says-max"])
def test_no_limit_is_null(name):
    assert MemoryCollector().collect(fixture_look(name)).limit is None


def test_without_meminfo_memory_is_absent(tmp_path):
    with pytest.raises(AbsentError):
        MemoryCollector().collect(fixture_look(str(tmp_path)))


LINES = st.lists(
    st.sampled_from([b"MemTotal:", b"MemAvailable: ", b"SwapFree: ", b"pswpin ", b"oom_kill "]).flatmap(
        lambda name: st.one_of(st.binary(max_size=20), st.integers(0, 2**70).map(lambda number: b"%d kB" % number)).map(
            lambda rest: name + rest
        )
    )
).map(b"\n".join)


@given(st.binary() | LINES)
def test_parsers_take_any_bytes(data):
    figures = parse_meminfo(data)
    memory = Memory(total=figures.get("MemTotal"), available=available(figures))
    assert msgspec.json.decode(msgspec.json.encode(memory), type=Memory) == memory
    assert all(value >= 0 for value in parse_vmstat(data).values())
