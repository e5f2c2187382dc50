from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.cgroups import CgroupUsage
from safetytwin.collectors.systemd_gauges import UnitGauges
from safetytwin.collectors.systemd_units import (
    WANTED_PROPERTIES,
    Scope,
    UnitFacts,
    facts_of_file,
    facts_of_properties,
    is_installed,
    is_of_this_host,
)
from safetytwin.models.service import Limits, Service

INFINITY = 2**64 - 1


def facts(**properties: Any) -> UnitFacts:
    return facts_of_properties(Scope(), "a.service", properties)


def test_infinity_is_no_limit_and_no_number() -> None:
    service = facts(
        MemoryMax=INFINITY, MemoryLimit=INFINITY, CPUQuotaPerSecUSec=INFINITY, TasksMax=INFINITY, NRestarts=INFINITY
    ).service
    assert service.limits is None
    assert service.restarts is None


def test_limits_of_cgroup_v1_and_v2() -> None:
    assert facts(MemoryMax=INFINITY, MemoryLimit=4096).service.limits == Limits(memory=4096)
    assert facts(MemoryMax=8192, MemoryLimit=4096).service.limits == Limits(memory=8192)
    assert facts(CPUQuotaPerSecUSec=1_500_000, TasksMax=9).service.limits == Limits(cpus=1.5, pids=9)


def test_a_unit_that_never_ran_has_no_pid_start_or_exit_code() -> None:
    service = facts(
        ActiveState="inactive", MainPID=0, ExecMainStartTimestamp=0, ExecMainStartTimestampMonotonic=0, ExecMainCode=0
    ).service
    assert (service.pid, service.start_time, service.exit_code) == (None, None, None)


def test_a_unit_that_starts_again_is_as_old_as_this_start() -> None:
    found = facts(
        ActiveState="activating",
        ExecMainStartTimestamp=1_700_000_000_000_000,
        ExecMainStartTimestampMonotonic=5_000_000,
        InactiveExitTimestamp=1_700_000_100_000_000,
        InactiveExitTimestampMonotonic=105_000_000,
    )
    assert found.service.start_time == "2023-11-14T22:15:00.000Z"
    assert found.started == 105.0


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "exit_signal"),
    [(1, 3, 3, None), (2, 9, None, "SIGKILL"), (3, 11, None, "SIGSEGV"), (2, 99, None, "SIG99"), (0, 0, None, None)],
)
def test_exit_of_the_last_run(code: int, status: int, exit_code: int | None, exit_signal: str | None) -> None:
    service = facts(ExecMainCode=code, ExecMainStatus=status).service
    assert service.exit_code == exit_code
    assert (service.extra or {}).get("exit_signal") == exit_signal


@pytest.mark.parametrize(
    ("load", "active", "is_here"),
    [
        ("loaded", "inactive", True),
        ("not-found", "inactive", False),
        ("not-found", "active", True),
        ("not-found", "failed", True),
        ("masked", "inactive", False),
        ("masked", "active", True),
        ("bad-setting", "inactive", True),
        ("error", "inactive", True),
    ],
)
def test_not_found_units_are_not_services_of_this_host(load: str, active: str, is_here: bool) -> None:
    assert is_of_this_host(load, active) is is_here


def test_templates_and_what_cannot_be_enabled_are_not_installed_services() -> None:
    assert is_installed("/lib/systemd/system/a.service", "disabled")
    assert is_installed("/etc/systemd/system/a@b.service", "enabled")
    assert not is_installed("/lib/systemd/system/a@.service", "disabled")
    for state in ("static", "generated", "transient", "alias", "indirect", "masked", "bad"):
        assert not is_installed("/lib/systemd/system/a.service", state)


def test_ids_and_owners() -> None:
    scope = Scope(1000, "ann")
    assert facts_of_file(scope, "a.service", "/p/a.service", "enabled").service.id == "user/1000/a.service"
    assert facts_of_properties(scope, "a.service", {"User": ""}).service.user == "ann"
    assert facts(User="").service.user == "root"
    assert facts(User="daemon").service.user == "daemon"
    assert facts().service.user is None


ANYTHING = st.one_of(
    st.none(),
    st.integers(-1, 2**64),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.text(max_size=5), max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted(WANTED_PROPERTIES)), ANYTHING))
def test_properties_of_other_types_than_agreed_are_a_valid_row_all_the_same(properties: dict[str, Any]) -> None:
    service = facts(**properties).service
    assert msgspec.json.decode(msgspec.json.encode(service), type=Service) == service


class Cgroup:
    """Answers of a control group, one after the other, the last one again and again."""

    def __init__(self, *usages: CgroupUsage | None) -> None:
        self.usages = list(usages)
        self.reads = 0

    def read(self, path: str, before: CgroupUsage | None) -> CgroupUsage | None:
        assert path == "/a"
        self.reads += 1
        usage = self.usages.pop(0) if len(self.usages) > 1 else self.usages[0]
        return before if usage == before else usage


RUNNING = UnitFacts(Service(type="systemd", id="a", name="a", status="active", cgroup="/a"), 100.0, b"1")


def look(
    gauges: UnitGauges, cgroup: Cgroup, now: float, facts: UnitFacts = RUNNING, *, thoroughly: bool = False
) -> Service:
    return gauges.measured(facts, cgroup.read, now, 1000, thoroughly=thoroughly)


def test_cpu_is_null_at_first_and_then_of_the_time_between() -> None:
    gauges, cgroup = (
        UnitGauges(),
        Cgroup(CgroupUsage(cpu_seconds=5.0, memory=100), CgroupUsage(cpu_seconds=10.0, memory=200)),
    )
    first, second = look(gauges, cgroup, 1000), look(gauges, cgroup, 1010)
    assert (first.cpu_percent, first.memory_percent, first.uptime_seconds) == (None, 10.0, 900.0)
    assert (second.cpu_percent, second.memory_percent, second.uptime_seconds) == (50.0, 20.0, 910.0)


def test_a_restart_resets_counters_null_never_negative() -> None:
    gauges, cgroup = (
        UnitGauges(),
        Cgroup(CgroupUsage(cpu_seconds=50.0), CgroupUsage(cpu_seconds=1.0), CgroupUsage(cpu_seconds=2.0)),
    )
    look(gauges, cgroup, 1000)
    assert look(gauges, cgroup, 1010).cpu_percent is None
    assert look(gauges, cgroup, 1020).cpu_percent == 10.0


def test_a_restart_whose_counter_is_already_higher_is_null_too() -> None:
    gauges, cgroup = UnitGauges(), Cgroup(CgroupUsage(cpu_seconds=1.0), CgroupUsage(cpu_seconds=9.0))
    look(gauges, cgroup, 1000)
    restarted = UnitFacts(RUNNING.service, 1005.0, b"2")
    service = look(gauges, cgroup, 1010, restarted)
    assert (service.cpu_percent, service.uptime_seconds) == (None, 5.0)


def test_an_idle_unit_is_the_same_row_and_its_uptime_never_off_by_more_than_a_hundredth() -> None:
    gauges, cgroup = UnitGauges(), Cgroup(CgroupUsage(cpu_seconds=1.0, memory=1))
    look(gauges, cgroup, 10_000)
    rows = [look(gauges, cgroup, now) for now in range(10_010, 20_000, 10)]
    assert len({id(row) for row in rows}) < 100
    assert rows[1] is rows[0]
    for now, row in zip(range(10_010, 20_000, 10), rows, strict=True):
        assert row.uptime_seconds == pytest.approx(now - 100, rel=0.011)


def test_a_cgroup_that_vanishes_leaves_the_gauges_unknown() -> None:
    gauges, cgroup = UnitGauges(), Cgroup(CgroupUsage(cpu_seconds=1.0, memory=1), None)
    look(gauges, cgroup, 1000)
    service = look(gauges, cgroup, 1010)
    assert (service.cpu_percent, service.cpu_seconds, service.memory) == (None, None, None)


def test_a_cgroup_whose_cpu_is_not_counted_is_read_seldom() -> None:
    gauges, cgroup = UnitGauges(), Cgroup(CgroupUsage(memory=1), CgroupUsage(memory=2))
    look(gauges, cgroup, 1000)
    assert look(gauges, cgroup, 1010).memory == 1
    assert look(gauges, cgroup, 1020, thoroughly=True).memory == 2
    assert cgroup.reads == 2
