import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import fixture_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.cgroup_limits import parse_cgroup_paths
from safetytwin.collectors.cpu import CpuCollector, parse_load_average
from safetytwin.collectors.cpu_sets import format_cpu_list, parse_cpu_list
from safetytwin.collectors.cpuinfo import parse_cpuinfo
from safetytwin.collectors.pressure import parse_pressure
from safetytwin.collectors.proc_stat import parse_stat, shares, spent, usage
from safetytwin.models.hardware import Cpu, CpuTimes


def test_offline_cpus_leave_holes_in_the_numbering():
    cpu = CpuCollector().collect(fixture_look("cpu/offline-cpus"))
    assert cpu.online == "0-3,6-7"
    assert [core.id for core in cpu.cores] == [0, 1, 2, 3, 6, 7]
    assert (cpu.cores_logical, cpu.cores_physical, cpu.sockets) == (6, 3, 2)
    assert [(core.package_id, core.core_id) for core in cpu.cores][-1] == (1, 1)
    assert cpu.cores[4].frequency_mhz == 1600
    assert (cpu.frequency_min_mhz, cpu.frequency_max_mhz) == (800, 3600)
    assert cpu.frequency_mhz == round((1000 + 1100 + 1200 + 1300 + 1600 + 1700) / 6, 1)
    assert (cpu.model, cpu.vendor) == ("Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", "GenuineIntel")
    assert cpu.architecture == "x86_64"
    assert cpu.load_average == [0.52, 1.0, 12.25]
    assert (cpu.interrupts, cpu.context_switches, cpu.processes_created) == (12345, 99, 77)
    assert cpu.pressure.some_avg10 == 1.5
    assert cpu.pressure.full_avg10 is None
    assert cpu.limit_cores is None


def test_the_first_look_has_no_usage():
    cpu = CpuCollector().collect(fixture_look("cpu/offline-cpus"))
    assert cpu.usage_percent is None
    assert cpu.times is None
    assert all(core.usage_percent is None for core in cpu.cores)


def test_counters_that_go_backwards_count_nothing():
    collector = CpuCollector()
    collector.collect(fixture_look("cpu/counters-go-backwards/first"))
    cpu = collector.collect(fixture_look("cpu/counters-go-backwards/second", monotonic=10))
    assert cpu.usage_percent == 50  # iowait went back; user and idle grew by 50 each
    assert cpu.times == CpuTimes(user=50, system=0, idle=50, iowait=0, irq=0, steal=0)
    assert cpu.cores[0].usage_percent is None  # nothing grew on this one


def test_no_time_between_two_looks_is_no_usage():
    collector = CpuCollector()
    collector.collect(fixture_look("cpu/counters-go-backwards/first"))
    assert collector.collect(fixture_look("cpu/counters-go-backwards/first")).usage_percent is None


def test_an_old_kernel_without_pressure_cpufreq_and_sysfs():
    cpu = CpuCollector().collect(fixture_look("cpu/no-pressure-no-cpufreq-no-sysfs"))
    assert (cpu.online, cpu.cores_logical) == ("0", 1)
    assert (cpu.pressure, cpu.frequency_mhz, cpu.load_average, cpu.sockets) == (None, None, None, None)
    assert (cpu.model, cpu.cores_physical, cpu.context_switches) == (None, None, None)


def test_numbers_beyond_what_a_state_may_hold_are_null():
    cpu = CpuCollector().collect(fixture_look("cpu/number-beyond-64-bit"))
    assert (cpu.context_switches, cpu.interrupts, cpu.processes_created) == (None, None, None)


def test_arm_without_a_model_name_is_named_by_implementer_and_part():
    cpu = CpuCollector().collect(fixture_look("cpu/arm-without-model-name"))
    assert (cpu.model, cpu.vendor) == ("Cortex-A53 + Cortex-A73", "ARM")
    assert (cpu.cores_physical, cpu.sockets) == (2, None)  # core ids repeat, packages are not told
    assert [core.id for core in cpu.cores] == [0, 4]


@pytest.mark.parametrize(
    ("data", "model", "vendor", "frequencies"),
    [
        (b"CPU implementer : 0x99\nCPU part : 0x123\n", "implementer 0x99 part 0x123", "implementer 0x99", {}),
        (b"Processor\t: ARMv7 Processor rev 10 (v7l)\nprocessor\t: 0\n", "ARMv7 Processor rev 10 (v7l)", None, {}),
        (
            b"vendor_id       : IBM/S390\nprocessor 0: version = FF,  identification = 1A, machine = 2964\n",
            "machine 2964",
            "IBM/S390",
            {},
        ),
        (
            b"processor\t: 8\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2200.000000MHz\n",
            "POWER9, altivec supported",
            None,
            {8: 2200.0},
        ),
        (b"processor\t: 0\nhart\t: 1\nuarch\t: sifive,u74-mc\n", "sifive,u74-mc", None, {}),
        (b"processor\t: 0\nModel Name\t: Loongson-3A5000\nCPU MHz\t: 2500.00\n", "Loongson-3A5000", None, {0: 2500.0}),
        (b"", None, None, {}),
    ],
)
def test_cpuinfo_of_other_architectures(data, model, vendor, frequencies):
    info = parse_cpuinfo(data)
    assert (info.model, info.vendor, info.frequencies) == (model, vendor, frequencies)


@pytest.mark.parametrize(
    ("name", "cores"),
    [
        ("cpu/limited-by-cgroup-v2", 1.5),
        ("cpu/limited-by-cgroup-v1", 0.5),
        ("cpu/pid-1-outside-the-cgroup-namespace", None),
    ],
)
def test_the_limit_is_that_of_the_cgroup_all_is_inside_of(name, cores):
    assert CpuCollector().collect(fixture_look(name)).limit_cores == cores


def test_without_proc_stat_the_cpu_is_absent(tmp_path):
    with pytest.raises(AbsentError):
        CpuCollector().collect(fixture_look(str(tmp_path)))


def test_cpu_lists():
    assert parse_cpu_list("0-3,6\n") == [0, 1, 2, 3, 6]
    assert parse_cpu_list("") == []
    assert parse_cpu_list("5-2,x,1-") == []
    assert parse_cpu_list("0-99999999999") == []


@given(st.sets(st.integers(0, 5000)))
def test_cpu_lists_are_read_as_they_are_written(numbers):
    assert parse_cpu_list(format_cpu_list(sorted(numbers))) == sorted(numbers)


TICKS = st.tuples(*[st.integers(0, 2**64)] * 8)


@given(TICKS, TICKS)
def test_shares_are_within_0_and_100_and_sum_to_100(new, old):
    deltas = spent(new, old)
    used, times = usage(deltas), shares(deltas)
    assert (used is None) == (times is None)
    if times is not None:
        parts = [times.user, times.system, times.idle, times.iowait, times.irq, times.steal]
        assert all(0 <= part <= 100 for part in [*parts, used])
        assert sum(parts) == pytest.approx(100, abs=0.1)


LINES = st.lists(
    st.sampled_from([b"cpu ", b"cpu0 ", b"cpu-1 ", b"intr ", b"ctxt ", b"some avg10=", b"processor : "]).flatmap(
        lambda start: st.binary(max_size=40).map(lambda rest: start + rest)
    )
).map(b"\n".join)


@given(st.binary() | LINES)
def test_parsers_take_any_bytes(data):
    text = data.decode("utf-8", "replace")
    stat = parse_stat(data)
    info = parse_cpuinfo(data)
    parse_cgroup_paths(data)
    parse_cpu_list(text)
    cpu = Cpu(
        model=info.model,
        load_average=parse_load_average(text),
        pressure=parse_pressure(data),
        context_switches=stat.context_switches,
        interrupts=stat.interrupts,
    )
    assert msgspec.json.decode(msgspec.json.encode(cpu), type=Cpu) == cpu
