"""The summary: everything that matters on one screen, and nothing that a terminal would act on."""

import io

import pytest

from safetytwin.cli.summary import print_summary
from safetytwin.models.hardware import Address, Cpu, Disk, Gpu, Hardware, Interface, Memory, OperatingSystem
from safetytwin.models.process import MemoryInfo, Process
from safetytwin.models.service import Port, Service
from safetytwin.models.system_state import Agent, CollectorStatus, SystemState

GIB = 1024**3


def _state(**changes) -> SystemState:
    facts = {
        "hardware": Hardware(
            hostname="atlas",
            platform="Linux",
            kernel_version="6.1",
            os=OperatingSystem(name="Debian GNU/Linux 12"),
            uptime=273600.0,
            cpu=Cpu(cores_physical=16, cores_logical=32, usage_percent=34.2, load_average=[1.0, 2.0, 3.0]),
            memory=Memory(total=128 * GIB, used=78 * GIB, usage_percent=61.0),
            disks=[
                Disk(
                    mountpoint="/",
                    device="/dev/sda1",
                    fstype="ext4",
                    total=440 * GIB,
                    used=312 * GIB,
                    usage_percent=71.0,
                ),
                Disk(mountpoint="/nfs", device="server:/x", fstype="nfs4", total=1, status="stale"),
            ],
            network=[Interface(name="eth0", flags=["up"], addresses=[Address("192.0.2.1", "ipv4")], speed_mbps=1000)],
            gpu={"nvidia": [Gpu(uuid="G", vendor="nvidia", index=0, name="H100", utilization_percent=81.0)]},
        ),
        "services": [
            Service(
                type="systemd",
                id="backup.service",
                name="backup.service",
                status="failed",
                result="exit-code",
                exit_code=3,
            ),
            Service(
                type="docker",
                id="c1",
                name="web",
                status="running",
                health="unhealthy",
                image="nginx",
                ports=[Port(80, host_port=8080)],
            ),
            Service(type="docker", id="c2", name="db", status="exited", exit_code=0, image="pg"),
        ],
        "processes": [
            Process(
                pid=1,
                start_ticks=1,
                name="init",
                cmdline=["/sbin/init"],
                cpu_percent=0.0,
                memory_info=MemoryInfo(rss=1024**2),
            ),
            Process(pid=7, start_ticks=1, name="busy", cmdline=["busy", "--loop"], cpu_percent=187.4, username="ann"),
            Process(pid=2, start_ticks=1, name="kthreadd", kernel_thread=True),
        ],
        "agent": Agent(
            version="1",
            backend="proc",
            collectors={
                "docker": CollectorStatus(status="denied", error="may not open the socket", hint="run as root"),
                "nvidia": CollectorStatus(status="absent", error="no GPU"),
            },
        ),
    }
    return SystemState(schema=1, host_id="h", seq=0, timestamp="2026-01-01T00:00:00Z", **{**facts, **changes})


def _printed(state: SystemState, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    print_summary(state, out)
    return raw.getvalue().decode(encoding)


def test_all_that_matters_is_there() -> None:
    text = _printed(_state())
    for part in ("atlas", "up 3 d 4 h", "34%", "78.0 of 128 GiB", "71%", "GPU 0", "81%", "1000 Mbit/s"):
        assert part in text
    lines = text.splitlines()
    assert next(line for line in lines if "busy" in line).split()[:3] == ["7", "ann", "187"]
    assert lines.index(next(line for line in lines if "busy" in line)) < lines.index(
        next(line for line in lines if "init" in line)
    )
    assert "kthreadd" not in text
    assert "1 of the kernel" in text
    assert "✗ backup.service  exit-code, code 3" in text
    assert "✗ web  unhealthy" in text
    assert "8080→80" in text
    assert "stale: nfs4 server:/x" in text
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40


def test_what_was_not_seen_says_how_to_see_it_and_absence_is_no_fault() -> None:
    text = _printed(_state())
    assert "docker: may not open the socket (run as root)" in text
    assert "no GPU" not in text


def test_a_hostile_name_can_not_move_the_cursor() -> None:
    hostile = "\x1b[2J\x1b[31mred\nnew line\u202e"
    text = _printed(
        _state(
            processes=[
                Process(pid=7, start_ticks=1, name=hostile, cmdline=[hostile], cpu_percent=1.0, username=hostile)
            ],
            services=[Service(type="docker", id="x", name=hostile, status=hostile, image=hostile)],
            hardware=Hardware(hostname=hostile),
        )
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("new line") for line in text.splitlines())


def test_an_empty_state_is_no_crash() -> None:
    text = _printed(
        _state(hardware=Hardware(), services=[], processes=[], agent=Agent(version="1", backend="proc", collectors={}))
    )
    assert "this machine" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_bars_are_plain_where_the_terminal_knows_no_blocks(encoding: str) -> None:
    text = _printed(_state(), encoding)
    assert "####" in text
    assert "█" not in text
