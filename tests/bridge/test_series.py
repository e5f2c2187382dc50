"""Which gauges are plotted, and what a row of machines shows."""

from parts.small_states import container, state, unit
from safetytwin.bridge.series import gauges_of, unit_of
from safetytwin.bridge.summary import service_counts, summary_of
from safetytwin.changes.diff import tree_of
from safetytwin.changes.twin import Twin
from safetytwin.fleet.machine import Machine
from safetytwin.models.hardware import Cpu, Disk


def test_every_series_of_a_machine_has_a_unit_and_its_states_value():
    look = Machine("atlas", processes=7).look()
    gauges = gauges_of(Twin(tree_of(look)))
    assert all(unit_of(name) for name in gauges)
    assert gauges["processes"] == 8
    assert gauges["cpu.usage"] == look.hardware.cpu.usage_percent
    assert gauges["gpu[GPU-5f8a9c2e].power"] == look.hardware.gpu["nvidia"][0].power_watts
    assert unit_of("gpu[a]b].power") == "W"
    assert unit_of("nothing") is None


def test_what_is_not_known_is_left_out_and_never_zero():
    gauges = gauges_of(Twin(tree_of(state(cpu=Cpu(), disks=[Disk(mountpoint="/")]))))
    assert gauges == {"processes": 0}
    assert "cpu_percent" not in summary_of(Twin(tree_of(state())), {})


def test_a_row_counts_services_by_what_is_wrong_with_them():
    services = (
        unit("a.service", "failed"),
        unit("b.service"),
        container("web", health="unhealthy"),
        container("job", "exited", identity="b"),
    )
    twin = Twin(tree_of(state(services=services, collectors={"gpu": "denied", "cpu": "ok", "zfs": "absent"})))
    row = summary_of(twin, service_counts(twin.items("services").values()))
    assert (row["services"], row["units_failed"], row["containers"]) == (4, 1, 2)
    assert (row["containers_unhealthy"], row["containers_exited"]) == (1, 1)
    assert row["collectors_failing"] == ["gpu"]
