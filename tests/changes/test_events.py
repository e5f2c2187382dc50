import re

import msgspec
import pytest

from parts.small_states import container, moment, process, state, step, unit
from safetytwin.changes.diff import tree_of
from safetytwin.changes.events import events, first_events
from safetytwin.changes.kinds import KINDS, event
from safetytwin.models.hardware import (
    Address,
    BlockDevice,
    Cpu,
    Disk,
    Gpu,
    Interface,
    Memory,
    OperatingSystem,
)
from safetytwin.models.workload import Ai, AiModel, Workload


def told(old, new):
    return [(one.kind, one.text) for one in events(step(old, new))]


def kinds(old, new):
    return [kind for kind, _ in told(old, new)]


def test_a_process_that_starts_and_exits():
    one = process(1, "nginx", started=100)
    assert told(state(100), state(110, processes=(one,))) == [("process.started", "nginx started (process 1, root)")]
    exited = events(step(state(3690, processes=(one,)), state(3700)))
    assert [(one.kind, one.text) for one in exited] == [("process.exited", "nginx exited after 1 h")]
    assert exited[0].details["ran_seconds"] == 3600
    assert exited[0].subject == "processes/1/10"
    assert exited[0].at == moment(3700)


def test_how_long_a_process_ran_is_unknown_where_the_clock_went_back():
    one = process(1, "nginx", started=100)
    assert told(state(90, processes=(one,)), state(50)) == [("process.exited", "nginx exited after unknown")]


def test_kernel_threads_are_left_out():
    one = process(1, "kworker/0:1", kernel_thread=True)
    assert told(state(), state(processes=(one,))) == []
    assert told(state(processes=(one,)), state()) == []


def test_an_executable_that_was_replaced_and_a_process_that_became_another():
    old = state(processes=(process(1, "sshd", exe="/usr/sbin/sshd"), process(2, "sh", exe="/bin/sh")))
    new = state(
        processes=(process(1, "sshd", exe="/usr/sbin/sshd", exe_deleted=True), process(2, "x", exe="/usr/bin/x"))
    )
    assert told(old, new) == [
        ("process.outdated", "sshd still runs an executable that was replaced or removed: /usr/sbin/sshd"),
        ("process.became", "/bin/sh became /usr/bin/x (process 2)"),
    ]


def test_secrets_in_a_command_line_never_get_into_an_event():
    one = process(1, "client", cmdline=["client", "--token=hunter2"], environment={"TOKEN": "hunter2"})
    made = events(step(state(), state(processes=(one,)))) + events(step(state(processes=(one,)), state()))
    assert len(made) == 2
    assert b"hunter2" not in msgspec.json.encode(made)


def test_text_of_a_machine_is_one_harmless_line_of_bounded_length():
    made = events(step(state(), state(processes=(process(1, "\x1b[2J\n{pid}" + "x" * 1000),))))
    assert made[0].text.startswith(r"\x1b[2J\n{pid}xxx")
    assert made[0].text.isprintable()
    assert len(made[0].text) < 300


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (unit("a"), unit("a", "failed", result="exit-code", exit_code=3), [("unit.failed", "a failed: exit code 3")]),
        (unit("a"), unit("a", "failed", result="oom-kill"), [("unit.failed", "a failed: oom-kill")]),
        (None, unit("a", "failed"), [("unit.failed", "a failed: unknown")]),
        (unit("a", "failed"), unit("a"), [("unit.started", "a started")]),
        (unit("a", "activating"), unit("a"), [("unit.started", "a started")]),
        (unit("a", "inactive"), unit("a", "activating"), []),
        (unit("a"), unit("a", "inactive"), [("unit.stopped", "a stopped")]),
        (unit("a"), unit("a", "deactivating"), []),
        (unit("a", "deactivating"), unit("a", "inactive"), [("unit.stopped", "a stopped")]),
        (unit("a", "failed"), unit("a", "inactive"), []),
        (None, unit("a"), [("unit.started", "a started")]),
        (None, unit("a", "inactive"), []),
        (unit("a"), None, [("unit.stopped", "a stopped")]),
        (unit("a", restarts=1), unit("a", restarts=2), [("unit.restarted", "a was restarted")]),
        (unit("a", restarts=2), unit("a", restarts=0), []),
        (
            unit("a", pid=1, start_time=moment(0)),
            unit("a", pid=2, start_time=moment(9)),
            [("unit.restarted", "a was restarted")],
        ),
        (unit("a", pid=1, start_time=moment(0)), unit("a", pid=2, start_time=moment(0)), []),
        (unit("a"), unit("a", description="new"), []),
    ],
)
def test_units(before, after, expected):
    assert told(*(state(services=(one,) if one else ()) for one in (before, after))) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, container("web", "created", image="nginx:1"), [("container.created", "web was created from nginx:1")]),
        (
            None,
            container("web", image="nginx:1"),
            [("container.created", "web was created from nginx:1"), ("container.started", "web started")],
        ),
        (container("web"), container("web", "exited", exit_code=1), [("container.died", "web died with code 1")]),
        (container("web"), container("web", "exited", exit_code=0), [("container.stopped", "web stopped with code 0")]),
        (
            container("web"),
            container("web", "exited", exit_code=137, oom_killed=True),
            [
                ("container.out_of_memory", "web was killed for want of memory"),
                ("container.died", "web died with code 137"),
            ],
        ),
        (container("web", "exited"), container("web"), [("container.started", "web started")]),
        (
            container("web", restarts=0),
            container("web", "restarting", restarts=1),
            [("container.restarted", "web was restarted")],
        ),
        (container("web"), container("web", "paused"), [("container.paused", "web was paused")]),
        (container("web", "paused"), container("web"), [("container.resumed", "web goes on after a pause")]),
        (
            container("web", health="starting"),
            container("web", health="unhealthy"),
            [("container.unhealthy", "web is unhealthy")],
        ),
        (
            container("web", health="unhealthy"),
            container("web", health="healthy"),
            [("container.healthy", "web is healthy")],
        ),
        (container("web", health="starting"), container("web", health="healthy"), []),
        (container("web"), container("shop"), [("container.renamed", "web was renamed to shop")]),
        (container("web"), None, [("container.removed", "web was removed")]),
    ],
)
def test_containers(before, after, expected):
    assert told(*(state(services=(one,) if one else ()) for one in (before, after))) == expected


@pytest.mark.parametrize("status", ["failed", "denied", "timeout"])
def test_what_a_collector_no_longer_sees_is_not_gone(status):
    seen = {
        "processes": (process(1),),
        "services": (unit("a"), container("web")),
        "disks": [Disk("/data")],
        "network": [Interface("eth0")],
        "gpu": {"nvidia": [Gpu("g", "nvidia")]},
        "block_devices": [BlockDevice("sda", kind="disk")],
    }
    names = ["processes", "systemd", "docker", "disks", "network", "nvidia", "block_devices"]
    good = state(collectors=dict.fromkeys(names, "ok"), **seen)
    blind = state(10, collectors=dict.fromkeys(names, status))
    assert kinds(good, blind) == ["agent.collector_failing"] * len(names)
    assert kinds(blind, good) == ["agent.collector_recovered"] * len(names)


def test_an_engine_that_stops_does_not_remove_its_containers():
    running = state(services=(container("web"),), collectors={"docker": "ok"})
    stopped = state(10, collectors={"docker": "absent"})
    assert kinds(running, stopped) == []
    assert kinds(stopped, running) == []


def test_after_a_restart_of_the_machine_only_that_and_what_failed_is_told():
    old = state(
        processes=(process(1),),
        services=(unit("a"), unit("b"), container("web")),
        disks=[Disk("/data")],
        network=[Interface("eth0")],
        kernel_version="6.1",
        memory=Memory(oom_kills=5),
        ai=Ai(workloads=[Workload("1/10", "server", 1.0, [])], models=[]),
    )
    new = state(
        500,
        boot_id="boot-2",
        processes=(process(3),),
        services=(unit("a", "inactive"), unit("b", "failed"), container("web", restarts=1)),
        disks=[],
        network=[Interface("eth1")],
        kernel_version="6.2",
        memory=Memory(oom_kills=0),
        ai=Ai(workloads=[], models=[]),
    )
    assert told(old, new) == [
        ("host.rebooted", "alpha was restarted"),
        ("host.kernel_changed", "The kernel changed from 6.1 to 6.2"),
        ("unit.failed", "b failed: unknown"),
    ]


def test_the_machine_itself():
    old = state(os=OperatingSystem(id="debian", name="Debian 12", version="12"), memory=Memory(oom_kills=1))
    new = state(
        hostname="beta", os=OperatingSystem(id="debian", name="Debian 13", version="13"), memory=Memory(oom_kills=3)
    )
    assert told(old, new) == [
        ("host.renamed", "The machine was renamed from alpha to beta"),
        ("host.os_changed", "The operating system changed from Debian 12 to Debian 13"),
        ("host.out_of_memory", "The kernel killed 2 processes for want of memory"),
    ]


def test_a_machine_seen_for_the_first_time():
    assert [(one.kind, one.text) for one in first_events(tree_of(state()), moment(0))] == [
        ("host.up", "alpha is seen for the first time")
    ]


def test_hardware():
    gib = 2**30
    old = state(
        cpu=Cpu(model="EPYC", cores_logical=4),
        memory=Memory(total=16 * gib),
        block_devices=[BlockDevice("sda", kind="disk"), BlockDevice("sda1", kind="partition")],
    )
    new = state(
        cpu=Cpu(model="EPYC", cores_logical=8),
        memory=Memory(total=32 * gib),
        block_devices=[BlockDevice("sdb", kind="disk", size=gib), BlockDevice("loop0", kind="loop")],
    )
    assert sorted(told(old, new)) == [
        ("hardware.cpu_changed", "The processors changed from 4 CPUs, EPYC to 8 CPUs, EPYC"),
        ("hardware.disk_added", "Disk sdb was added: 1.00 GiB"),
        ("hardware.disk_removed", "Disk sda is no longer there"),
        ("hardware.memory_changed", "The memory changed from 16.0 GiB to 32.0 GiB"),
    ]


def test_a_kernel_that_keeps_a_little_more_memory_changed_no_hardware():
    assert told(state(memory=Memory(total=1000)), state(memory=Memory(total=995))) == []


def test_disks():
    old = state(disks=[Disk("/"), Disk("/a", read_only=False), Disk("/nfs", status="ok")])
    new = state(disks=[Disk("/a", read_only=True), Disk("/nfs", status="stale"), Disk("/b", device="/dev/sdb1")])
    assert sorted(told(old, new)) == [
        ("disk.mounted", "/dev/sdb1 was mounted on /b"),
        ("disk.not_answering", "/nfs does not answer"),
        ("disk.read_only", "/a became read-only"),
        ("disk.unmounted", "/ was unmounted"),
    ]


def test_a_mountpoint_that_is_listed_twice_is_neither_mounted_nor_unmounted():
    once, twice = state(disks=[Disk("/")]), state(disks=[Disk("/"), Disk("/", device="b")])
    assert told(once, twice) == []
    assert told(twice, once) == []


def test_interfaces():
    old = state(
        network=[
            Interface("eth0", operstate="up", addresses=[Address("10.0.0.1", "ipv4", 24)]),
            Interface("wg0", operstate="unknown", flags=["up"]),
            Interface("veth1", kind="veth"),
            Interface("eth1"),
        ]
    )
    new = state(
        network=[
            Interface("eth0", operstate="down", addresses=[Address("10.0.0.2", "ipv4", 24)]),
            Interface("wg0", operstate="unknown", flags=[]),
            Interface("eth2"),
        ]
    )
    assert sorted(told(old, new)) == [
        ("interface.added", "Interface eth2 was added"),
        ("interface.address_changed", "The addresses of eth0 changed from 10.0.0.1/24 to 10.0.0.2/24"),
        ("interface.down", "Interface eth0 is down"),
        ("interface.down", "Interface wg0 is down"),
        ("interface.removed", "Interface eth1 is gone"),
    ]


def test_gpus():
    def gpus(*some):
        return state(gpu={"nvidia": list(some)})

    good = Gpu("G", "nvidia", name="H100", status="ok", ecc_uncorrected=0, driver_version="550")
    lost = Gpu("G", "nvidia", name="H100", status="lost")
    assert told(gpus(good), gpus(lost)) == [("gpu.lost", "H100 (G) is lost")]
    assert told(gpus(lost), gpus(good)) == [("gpu.back", "H100 (G) is back")]
    assert told(gpus(good), gpus()) == [("gpu.removed", "H100 (G) is no longer there")]
    assert told(gpus(), gpus(good)) == [("gpu.added", "H100 (G) was added")]
    worse = msgspec.structs.replace(good, ecc_uncorrected=2, driver_version="560")
    assert kinds(gpus(good), gpus(worse)) == ["gpu.memory_errors", "gpu.driver_changed"]


def test_workloads_and_models():
    def ai(workloads=(), models=()):
        return state(ai=Ai(workloads=list(workloads), models=list(models)))

    vllm = Workload("1/10", "server", 1.0, [], engine="vllm")
    exposed = msgspec.structs.replace(vllm, findings=["answers beyond this machine without a key"])
    assert told(ai(), ai([vllm])) == [("workload.appeared", "vllm appeared: server")]
    assert told(ai([vllm]), ai([exposed])) == [("workload.finding", "vllm: answers beyond this machine without a key")]
    assert told(ai([vllm]), ai()) == [("workload.gone", "vllm is gone")]

    file = AiModel("/m.gguf", name="Llama", path="/m.gguf", size=2**30, state="at_rest")
    part = msgspec.structs.replace(file, size=2**20, problem="unfinished download")
    loaded = msgspec.structs.replace(file, state="loaded")
    assert told(ai(), ai(models=[part])) == [("model.downloading", "Llama is not complete: unfinished download")]
    assert kinds(ai(models=[part]), ai(models=[file])) == ["model.appeared"]
    larger = msgspec.structs.replace(file, size=2**31)
    assert kinds(ai(models=[file]), ai(models=[larger])) == ["model.changed"]
    assert told(ai(), ai(models=[file])) == [("model.appeared", "Llama is new on this machine: 1.00 GiB")]
    assert told(ai(models=[file]), ai(models=[loaded])) == [("model.loaded", "Llama was loaded")]
    assert told(ai(models=[loaded]), ai(models=[file])) == [("model.unloaded", "Llama was unloaded")]
    assert kinds(ai(models=[loaded]), ai()) == ["model.unloaded", "model.removed"]
    assert kinds(state(), ai([vllm], [file])) == []


def test_the_agent():
    old = state(collectors={"docker": "ok", "systemd": "absent"}, version="1")
    new = state(collectors={"docker": "stale", "systemd": "ok"}, version="2")
    assert told(old, new) == [
        ("agent.version_changed", "The agent changed from version 1 to 2"),
        ("agent.collector_failing", "The collector docker is stale: unknown"),
    ]


def test_gauges_alone_are_no_event():
    old = state(processes=(process(1, cpu_percent=1.0),), memory=Memory(total=1, used=1))
    new = state(10, processes=(process(1, cpu_percent=2.0),), memory=Memory(total=1, used=2))
    assert told(old, new) == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_sentence_that_can_be_filled(kind):
    names = re.findall(r"{(\w+)}", KINDS[kind].text)
    made = event(kind, moment(0), "host", **dict.fromkeys(names, "VALUE"))
    assert made.text.count("VALUE") == len(names)
    assert "{" not in made.text
    folded = event(kind, moment(0), "host", count=3, **dict.fromkeys(names, "VALUE"))
    assert "3" in folded.text
    assert msgspec.convert(msgspec.to_builtins(folded), type(folded)) == folded


def test_an_unknown_kind_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        event("host.exploded", moment(0), "host")
