from parts.small_states import process, state, unit
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.significance import significant
from safetytwin.changes.twin import Twin
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.hardware import Cpu, CpuCore, Disk, Gpu, Memory, MigDevice, Swap
from safetytwin.models.process import MemoryInfo
from safetytwin.models.system_state import Agent, CollectorStatus


def significant_between(old, new):
    change = diff(old, new)
    return significant(change, Twin(tree_of(old)).apply(change))


def test_what_only_moves_by_itself_vanishes():
    old = state(
        processes=(process(1, cpu_percent=1.0, memory_info=MemoryInfo(rss=1), status="running"),),
        services=(unit("a", cpu_percent=1.0),),
        cpu=Cpu(usage_percent=1.0, cores=[CpuCore(0, usage_percent=1.0)]),
        memory=Memory(total=10, used=1, swap=Swap(total=5, used=1)),
        disks=[Disk("/", used=1)],
        gpu={"nvidia": [Gpu("g", "nvidia", power_watts=1.0, mig_devices=[MigDevice("m", memory_used=1)])]},
        uptime=1.0,
    )
    new = state(
        10,
        processes=(process(1, cpu_percent=2.0, memory_info=MemoryInfo(rss=2), status="sleeping"),),
        services=(unit("a", cpu_percent=2.0),),
        cpu=Cpu(usage_percent=2.0, cores=[CpuCore(0, usage_percent=2.0)]),
        memory=Memory(total=10, used=2, swap=Swap(total=5, used=2)),
        disks=[Disk("/", used=2)],
        gpu={"nvidia": [Gpu("g", "nvidia", power_watts=2.0, mig_devices=[MigDevice("m", memory_used=2)])]},
        uptime=11.0,
    )
    assert significant_between(old, new) == Change()


def test_a_state_within_a_record_stays_without_the_gauges_beside_it():
    old = state(memory=Memory(total=10, used=1, swap=Swap(total=5, used=1)))
    new = state(10, memory=Memory(total=10, used=2, swap=Swap(total=6, used=2)))
    assert significant_between(old, new) == Change(state={"hardware": {"memory": {"swap": {"total": 6}}}})


def test_a_record_that_is_new_is_shown_without_its_gauges():
    change = significant_between(state(), state(memory=Memory(total=10, used=2, swap=Swap(total=6, used=2))))
    assert change == Change(state={"hardware": {"memory": {"total": 10, "swap": {"total": 6}}}})


def test_items_that_come_go_or_change_state_stay():
    old = state(processes=(process(1), process(2, cpu_percent=1.0)))
    new = state(10, processes=(process(2, cpu_percent=2.0, exe_deleted=True), process(3, cpu_percent=1.0)))
    change = significant_between(old, new)
    assert change.state is None
    assert change.collections["processes"].changed == {"2/20": {"exe_deleted": True}}
    assert change.collections["processes"].removed == ["1/10"]
    assert [item["pid"] for item in change.collections["processes"].added] == [3]


def test_the_order_of_items_is_not_significant():
    a, b = process(1), process(2)
    assert significant_between(state(processes=(a, b)), state(processes=(b, a))) == Change()


def test_collectors_within_a_map_keep_their_status():
    def with_collectors(**collectors):
        machine = state()
        return type(machine)(
            **{
                **{name: getattr(machine, name) for name in machine.__struct_fields__},
                "agent": Agent("1", "proc", collectors),
            }
        )

    old = with_collectors(a=CollectorStatus("ok", duration=1.0), b=CollectorStatus("ok", duration=1.0))
    new = with_collectors(a=CollectorStatus("failed", duration=2.0), b=CollectorStatus("ok", duration=2.0))
    assert significant_between(old, new).state == {"agent": {"collectors": {"a": {"status": "failed"}}}}


def test_a_slice_of_a_gpu_that_changes_its_state_is_shown_without_its_memory_in_use():
    old = state(gpu={"nvidia": [Gpu("g", "nvidia", mig_devices=[MigDevice("m", memory_used=1)])]})
    new = state(gpu={"nvidia": [Gpu("g", "nvidia", mig_devices=[MigDevice("m", name="1g", memory_used=2)])]})
    assert significant_between(old, new).collections == {
        "hardware.gpu.nvidia": CollectionChange(changed={"g": {"mig_devices": [{"uuid": "m", "name": "1g"}]}})
    }
