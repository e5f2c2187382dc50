"""AMD and Intel GPUs, on fixture trees: hardware that isn't here."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from safetytwin.collectors.base import AbsentError, Look, LookOptions
from safetytwin.collectors.drm_amd import fan_percent, parse_unique_id
from safetytwin.collectors.drm_cards import parse_link_speed, parse_pci_ids
from safetytwin.collectors.drm_intel import power_between
from safetytwin.collectors.drm_kfd import parse_address
from safetytwin.collectors.gpu_drm import AmdCollector, IntelCollector
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.registry import registrations
from safetytwin.collectors.system import SystemLooker
from safetytwin.models.hardware import Gpu
from safetytwin.models.process import Process

TREES = Path(__file__).parent.parent / "fixtures/gpu"


@pytest.fixture
def tree(tmp_path):
    """Return a copy of a fixture tree, to be changed between two looks."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(TREES / name, tmp_path / name, symlinks=True))

    return copy


def a_look(path: Path, number: int = 0, found: dict[str, Any] | None = None) -> Look:
    return Look(
        HostRoot.fixture(str(path)), LookOptions(), number, found or {}, 1000.0 + 10 * number, 1.7e9 + 10 * number
    )


def valid(gpus: list[Gpu]) -> list[Gpu]:
    assert msgspec.json.decode(msgspec.json.encode(gpus), type=list[Gpu]) == gpus
    return gpus


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_every_field_of_an_amd_gpu_beside_an_integrated_one(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    collector = AmdCollector()
    (first,) = valid(collector.collect(a_look(root)))
    for descriptor in ("5", "6"):
        replace(root / "proc/200/fdinfo" / descriptor, "compute:\t5000000000", "compute:\t9000000000")
    replace(root / "proc/200/fdinfo/7", "gfx:\t4000", "gfx:\t1000004000")
    (gpu,) = valid(collector.collect(a_look(root, 1)))
    assert first.engines_percent is None
    assert first.processes is not None
    assert first.processes[0].sm_percent is None
    assert msgspec.to_builtins(gpu) == {
        "uuid": "0x5f3a1c9b7d2e4a60",
        "vendor": "amd",
        "index": 1,
        "name": "Radeon RX 7900 XTX",
        "status": "ok",
        "pci_bus_id": "0000:03:00.0",
        "pci_id": "1002:744c",
        "driver": "amdgpu",
        "vbios_version": "113-D70400XT-100",
        "utilization_percent": 93,
        "memory_utilization_percent": 40,
        "engines_percent": {"compute": 40.0, "gfx": 10.0, "dec": 0.0},
        "memory_total": 25753026560,
        "memory_used": 20000000000,
        "memory_free": 5753026560,
        "gtt_total": 33420128256,
        "gtt_used": 123456789,
        "temperature_celsius": 61,
        "memory_temperature_celsius": 82,
        "power_watts": 285,
        "power_limit_watts": 339,
        "fan_percent": 50,
        "clock_graphics_mhz": 1800,
        "clock_memory_mhz": 1249,
        "clock_graphics_max_mhz": 2482,
        "clock_memory_max_mhz": 1249,
        "ecc_corrected": 2,
        "ecc_uncorrected": 0,
        "pcie_generation": 4,
        "pcie_generation_max": 4,
        "pcie_width": 8,
        "pcie_width_max": 16,
        "processes": [
            {
                "pid": 200,
                "start_ticks": 6000,
                "kind": "both",
                "memory": (1048576 + 1024) * 1024,
                "sm_percent": 40.0,
                "decoder_percent": 0.0,
            }
        ],
    }


def test_every_field_of_an_integrated_intel_gpu_beside_another_vendors(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    collector = IntelCollector()
    (first,) = valid(collector.collect(a_look(root)))
    replace(root / "proc/100/fdinfo/3", "render:\t1000000000", "render:\t3500000000")
    replace(root / "proc/100/fdinfo/3", "video:\t1000 ns", "video:\t10000001000 ns")
    (gpu,) = valid(collector.collect(a_look(root, 1)))
    assert first.utilization_percent is None, "nothing is known of the time before"
    assert msgspec.to_builtins(gpu) == {
        "uuid": "pci:0000:00:02.0",
        "vendor": "intel",
        "index": 0,
        "name": "Raptor Lake-S GT1 [UHD Graphics 770]",
        "status": "ok",
        "pci_bus_id": "0000:00:02.0",
        "pci_id": "8086:a780",
        "driver": "i915",
        "utilization_percent": 50.0,
        "engines_percent": {"render": 25.0, "copy": 0.0, "video": 50.0, "video-enhance": 0.0},
        "clock_graphics_mhz": 450,
        "clock_graphics_max_mhz": 1650,
        "throttle_reasons": ["pl1"],
        "processes": [{"pid": 100, "start_ticks": 5000, "kind": "graphics", "memory": 5000 * 1024, "sm_percent": 25.0}],
    }


def test_xe_counts_cycles_and_energy(tree):
    root = tree("intel_xe_counts_cycles")
    collector = IntelCollector()
    (first,) = valid(collector.collect(a_look(root)))
    info = root / "proc/500/fdinfo/9"
    replace(info, "drm-cycles-ccs:\t1000", "drm-cycles-ccs:\t3000")
    info.write_text(info.read_text().replace("cycles-rcs:\t10000", "cycles-rcs:\t11000"))
    info.write_text(info.read_text().replace("cycles-ccs:\t10000", "cycles-ccs:\t11000"))
    (root / "sys/class/drm/card0/device/hwmon/hwmon2/energy1_input").write_text("805000000\n")
    (gpu,) = valid(collector.collect(a_look(root, 1)))
    assert first.power_watts is None
    assert gpu.power_watts == 80
    assert gpu.energy_joules == 805
    assert gpu.power_limit_watts == 190
    assert gpu.memory_total == 17095983104
    assert gpu.memory_used is None, "xe tells what each client holds, not the whole"
    assert gpu.clock_graphics_mhz == 2000
    assert gpu.clock_graphics_max_mhz == 2400
    assert gpu.throttle_reasons == []
    assert (gpu.temperature_celsius, gpu.memory_temperature_celsius) == (55, 60)
    assert gpu.engines_percent == {"ccs": 50.0, "rcs": 0.0}
    assert gpu.processes is not None
    (process,) = gpu.processes
    assert (process.kind, process.memory, process.sm_percent) == ("compute", 16 * 1024**2, 50.0)


def test_a_kernel_without_clients_leaves_utilisation_unknown():
    collector = IntelCollector()
    for number in range(3):
        (gpu,) = valid(collector.collect(a_look(TREES / "intel_old_kernel_without_clients", number)))
        assert gpu.utilization_percent is None
        assert gpu.processes == []
        assert gpu.clock_graphics_mhz == 350
        assert gpu.name == "Intel GPU 8086:1912"


def test_an_idle_gpu_without_clients_is_idle_where_all_processes_are_seen(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    shutil.rmtree(root / "proc/100")
    (gpu,) = IntelCollector().collect(a_look(root))
    shutil.rmtree(root / "proc/1/fd")
    (blind,) = IntelCollector().collect(a_look(root))
    assert gpu.utilization_percent == 0
    assert blind.utilization_percent is None


def test_garbage_and_no_hwmon_is_null_and_the_rest_is_there():
    (gpu,) = valid(AmdCollector().collect(a_look(TREES / "amd_without_hwmon_and_with_garbage")))
    assert msgspec.to_builtins(gpu) == {
        "uuid": "pci:0000:04:00.0",
        "vendor": "amd",
        "index": 1,
        "name": "AMD GPU 1002:1638",
        "status": "ok",
        "pci_bus_id": "0000:04:00.0",
        "pci_id": "1002:1638",
        "driver": "amdgpu",
        "gtt_used": 77,
        "processes": [],
    }


def test_a_gpu_that_is_powered_down_is_not_read(tree):
    root = tree("amd_powered_down")
    look = a_look(root)
    (gpu,) = valid(AmdCollector().collect(look))
    assert gpu.status == "ok"
    assert gpu.name == "Radeon RX 7900 XTX"
    assert gpu.temperature_celsius is None
    assert gpu.memory_total is None
    assert look.notes == ["GPU 0000:03:00.0 is powered down; reading it would wake it"]


def test_a_gpu_that_fell_off_the_bus_is_lost_and_comes_back(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    config = root / "sys/class/drm/card1/device/config"
    here = config.read_bytes()
    collector = AmdCollector()
    (before,) = collector.collect(a_look(root))
    config.write_bytes(b"\xff" * 64)
    (lost,) = valid(collector.collect(a_look(root, 1)))
    config.write_bytes(here)
    (after,) = collector.collect(a_look(root, 2))
    assert (before.status, lost.status, after.status) == ("ok", "lost", "ok")
    assert lost.uuid == before.uuid
    assert lost.name == "Radeon RX 7900 XTX"
    assert lost.utilization_percent is None
    assert lost.memory_used is None
    assert lost.processes is None
    (from_the_start,) = AmdCollector().collect(a_look(TREES / "amd_fell_off_the_bus"))
    assert from_the_start.status == "lost"


def test_rocm_memory_that_drm_does_not_count():
    (gpu,) = valid(AmdCollector().collect(a_look(TREES / "rocm_memory_that_drm_does_not_count")))
    assert gpu.processes is not None
    found = [(p.pid, p.start_ticks, p.kind, p.memory) for p in gpu.processes]
    assert found == [(200, 6000, "compute", 19_000_000_000), (300, None, "compute", None)]


def test_rocm_pids_of_another_namespace_are_left_out(tree):
    root = tree("rocm_memory_that_drm_does_not_count")
    (root / "proc/2/comm").write_text("bash\n")
    look = a_look(root)
    (gpu,) = AmdCollector().collect(look)
    assert gpu.processes is not None
    assert [(p.pid, p.memory) for p in gpu.processes] == [(200, 1024 * 1024)]
    assert look.notes == ["ROCm processes of another PID namespace than the agent's: 2"]


@pytest.mark.parametrize("collector", [AmdCollector, IntelCollector])
def test_no_gpu_is_absence_before_any_process_is_searched(collector, tmp_path):
    (tmp_path / "proc/1/fd").mkdir(parents=True)
    for root in (tmp_path, TREES / ("intel_xe_counts_cycles" if collector is AmdCollector else "amd_powered_down")):
        look = a_look(root)
        with pytest.raises(AbsentError):
            collector().collect(look)
        assert not look.notes


def test_one_client_behind_many_descriptors_and_processes_counts_once(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    shutil.copytree(root / "proc/200", root / "proc/201", symlinks=True)
    (gpu,) = AmdCollector().collect(a_look(root))
    assert gpu.processes is not None
    assert [(p.pid, p.memory) for p in gpu.processes] == [(200, (1048576 + 1024) * 1024)]


def test_a_process_is_searched_when_its_descriptors_changed_and_else_seldom(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    process = Process(pid=100, start_ticks=5000, name="python3", num_fds=2, cpu_seconds=1.0)
    collector = IntelCollector()

    def pids(number: int, now: Process) -> list[int]:
        (gpu,) = collector.collect(a_look(root, number, {"processes": [now]}))
        assert gpu.processes is not None
        return [p.pid for p in gpu.processes]

    (root / "proc/100/fd/3").unlink()
    assert pids(0, process) == []
    (root / "proc/100/fd/9").symlink_to("/dev/dri/renderD128")
    (root / "proc/100/fdinfo/9").write_bytes((root / "proc/100/fdinfo/3").read_bytes())
    assert pids(1, process) == []
    assert pids(2, msgspec.structs.replace(process, num_fds=3)) == [100]
    (root / "proc/100/fdinfo/9").unlink()
    (root / "proc/100/fd/9").unlink()
    (root / "proc/100/fd/3").symlink_to("/dev/dri/renderD128")
    assert pids(3, msgspec.structs.replace(process, num_fds=3)) == []
    assert pids(4, msgspec.structs.replace(process, num_fds=3)) == [100], "a descriptor that is gone has it searched"
    assert pids(5, msgspec.structs.replace(process, num_fds=3, start_ticks=9)) == [100], "another process, its pid"
    assert pids(6, msgspec.structs.replace(process, num_fds=3, kernel_thread=True)) == []


def test_processes_that_may_not_be_asked_are_counted():
    """As a user who may not see another's descriptors; outside of pytest's folder, which is root's alone."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(TREES / "intel_igpu_and_amd_dgpu", Path(folder) / "host", symlinks=True))
        Path(folder).chmod(0o755)
        (root / "proc/200/fd").chmod(0)
        look = a_look(root)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            (gpu,) = IntelCollector().collect(look)
        finally:
            os.seteuid(user)
            (root / "proc/200/fd").chmod(0o755)
    assert look.notes == ["processes that may not be asked which GPU they use: 1"]
    assert look.hint == "run as root, or give the agent CAP_SYS_PTRACE"
    assert gpu.utilization_percent is None
    assert gpu.processes is not None
    assert [p.pid for p in gpu.processes] == [100]


def test_a_gpu_that_is_unplugged_is_absent_until_it_is_back(tree):
    root = tree("intel_igpu_and_amd_dgpu")
    collector = AmdCollector()
    (gpu,) = collector.collect(a_look(root))
    card = root / "sys/class/drm/card1"
    card.rename(root / "unplugged")
    with pytest.raises(AbsentError):
        collector.collect(a_look(root, 1))
    (root / "unplugged").rename(card)
    (again,) = collector.collect(a_look(root, 2))
    assert again.uuid == gpu.uuid
    collector.close()


@pytest.mark.parametrize(
    ("line", "generation"), [("16.0 GT/s PCIe", 4), ("2.5 GT/s PCIe", 1), ("Unknown", None), ("", None), (None, None)]
)
def test_link_speed(line, generation):
    assert parse_link_speed(line) == generation


@pytest.mark.parametrize(
    ("line", "uuid"),
    [("5f3a1c9b7d2e4a60", "0x5f3a1c9b7d2e4a60"), ("0x1", "0x0000000000000001"), ("0", None), ("none", None)],
)
def test_unique_id(line, uuid):
    assert parse_unique_id(line) == uuid


def test_pci_ids_stop_at_the_next_vendor():
    data = b"1002  AMD\n\t0001  One\n8086  Intel\n\t0002  Two\n"
    assert parse_pci_ids(data, "1002:0001") == "One"
    assert parse_pci_ids(data, "1002:0002") is None
    assert parse_pci_ids(data, "10de:0002") is None


def test_power_is_unknown_where_the_counter_fell_back():
    assert power_between((10.0, 500.0), (20.0, 1500.0)) == 100
    assert power_between((10.0, 500.0), (20.0, 400.0)) is None
    assert power_between((10.0, 500.0), (10.0, 600.0)) is None
    assert power_between(None, (10.0, 600.0)) is None


def test_address_of_a_rocm_node():
    assert parse_address(b"domain 1\nlocation_id 49409\n") == "0001:c1:00.1"
    assert parse_address(b"location_id x\n") is None


def test_fan_without_a_highest_speed_is_the_duty():
    class Monitor:
        def first(self, *names):
            return {"pwm1": 51, "fan1_input": 900}.get(names[0])

    assert fan_percent(Monitor()) == 20


def test_a_whole_look_has_both_vendors_and_what_is_absent():
    ours = [r for r in registrations("proc") if r.place.startswith("hardware.gpu.")]
    looker = SystemLooker(ours, host_id="tree", root=HostRoot.fixture(str(TREES / "intel_igpu_and_amd_dgpu")))
    state = looker.look()
    looker.close()
    statuses = {name: status.status for name, status in state.agent.collectors.items()}
    assert statuses == {"nvidia": "absent", "amd": "ok", "intel": "ok"}
    assert state.hardware.gpu is not None
    names = {vendor: [gpu.name for gpu in gpus] for vendor, gpus in state.hardware.gpu.items()}
    assert names == {"amd": ["Radeon RX 7900 XTX"], "intel": ["Raptor Lake-S GT1 [UHD Graphics 770]"]}
