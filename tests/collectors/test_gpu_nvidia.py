"""NVIDIA GPUs, on a library that stands in for NVML: hardware that isn't here."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from parts.fake_nvml import COMPILER, H100, LAPTOP, SYSTEM, UNIFIED, FakeNvml, Looker
from safetytwin.collectors.gpu_pids import start_ticks
from safetytwin.collectors.host_root import HostRoot
from safetytwin.models.hardware import Gpu

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the library that stands in for NVML")

H100_UUID = "GPU-11111111-2222-3333-4444-555555555555"
LAPTOP_UUID = "GPU-99999999-0000-0000-0000-000000000000"
N_A = 2**64 - 1


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> FakeNvml:
    fake = FakeNvml(tmp_path_factory.mktemp("nvml"))
    fake.build()
    return fake


@pytest.fixture
def nvml(library, tmp_path) -> FakeNvml:
    fake = FakeNvml(tmp_path)
    fake.library.hardlink_to(library.library)
    return fake


def by_uuid(answer: dict) -> dict[str, dict]:
    assert "gpus" in answer, answer
    for gpu in answer["gpus"]:
        msgspec.convert(gpu, Gpu)
    return {gpu["uuid"]: gpu for gpu in answer["gpus"]}


def test_every_field_of_a_server_gpu(nvml):
    pid = os.getpid()
    nvml.write(H100 + f"proc={pid}:30000000000\nsample={pid}:80:40:1:2\n")
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[H100_UUID]
    ours = {"pid": pid, "start_ticks": start_ticks(HostRoot(), pid), "kind": "compute", "memory": 30_000_000_000}
    shares = {"sm_percent": 80, "memory_percent": 40, "encoder_percent": 1, "decoder_percent": 2}
    assert gpu == {
        "uuid": H100_UUID,
        "vendor": "nvidia",
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "status": "ok",
        "pci_bus_id": "0000:1b:00.0",
        "pci_id": "10de:2330",
        "serial": "1650423012345",
        "driver": "nvidia",
        "driver_version": "580.65.06",
        "cuda_version": "13.0",
        "vbios_version": "96.00.74.00.01",
        "compute_mode": "default",
        "persistence_mode": True,
        "mig_mode": False,
        "utilization_percent": 87,
        "memory_utilization_percent": 41,
        "encoder_percent": 3,
        "decoder_percent": 4,
        "memory_total": 85520809984,
        "memory_used": 40000000000,
        "memory_free": 85520809984 - 40000000000 - 500000000,
        "memory_reserved": 500000000,
        "temperature_celsius": 61,
        "memory_temperature_celsius": 72,
        "power_watts": 512.345,
        "power_limit_watts": 700,
        "energy_joules": 123456.789,
        "clock_graphics_mhz": 1980,
        "clock_sm_mhz": 1975,
        "clock_memory_mhz": 2619,
        "clock_video_mhz": 1545,
        "clock_graphics_max_mhz": 1980,
        "clock_memory_max_mhz": 2619,
        "performance_state": "P0",
        "throttle_reasons": ["sw_power_cap", "unknown_0x200"],
        "ecc_mode": True,
        "ecc_corrected": 5,
        "ecc_uncorrected": 1,
        "remapped_rows": {"correctable": 3, "uncorrectable": 0, "pending": True, "failure": False},
        "retired_pages": 3,
        "pcie_generation": 5,
        "pcie_generation_max": 5,
        "pcie_width": 16,
        "pcie_width_max": 16,
        "pcie_rx_bytes_per_second": 1000 * 1024,
        "pcie_tx_bytes_per_second": 2000 * 1024,
        "links": [
            {"index": 0, "active": True, "version": 4, "remote_pci_bus_id": "0000:05:00.0"},
            {"index": 1, "active": False, "version": 4},
        ],
        "processes": [{**ours, **shares}],
    }


def test_the_numbers_are_those_that_the_binding_reads(nvml):
    """The same library read by a few lines that share nothing with the collector."""
    nvml.write(H100, LAPTOP)
    program = """
import json, pynvml as n
n.nvmlInit()
out = {}
for i in range(n.nvmlDeviceGetCount()):
    h = n.nvmlDeviceGetHandleByIndex(i)
    u, m = n.nvmlDeviceGetUtilizationRates(h), n.nvmlDeviceGetMemoryInfo(h)
    out[n.nvmlDeviceGetUUID(h)] = [n.nvmlDeviceGetName(h), u.gpu, u.memory, m.total, m.used,
                                   n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU)]
print(json.dumps(out))
"""
    read = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=nvml.environment(), capture_output=True, check=True
    )
    with Looker(nvml.environment()) as looker:
        gpus = by_uuid(looker.look())
    names = ("name", "utilization_percent", "memory_utilization_percent", "memory_total", "memory_used")
    ours = {uuid: [gpu[name] for name in (*names, "temperature_celsius")] for uuid, gpu in gpus.items()}
    assert ours == msgspec.json.decode(read.stdout)


def test_what_is_not_supported_is_null_and_asked_once(nvml):
    nvml.write(LAPTOP)
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[LAPTOP_UUID]
        nvml.calls()
        again = by_uuid(looker.look())[LAPTOP_UUID]
        calls = nvml.calls()
    assert gpu["utilization_percent"] == 7
    for field in ("power_watts", "fan_percent", "mig_mode", "mig_devices", "ecc_mode", "links", "energy_joules"):
        assert field not in gpu
    assert again == gpu
    for function in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetFanSpeed", "nvmlDeviceGetFieldValues"):
        assert not [call for call in calls if call.startswith(function + " ")]


def test_questions_in_a_look_stay_few(nvml):
    nvml.write(H100 + "proc=1:1000\n")
    with Looker(nvml.environment()) as looker:
        for _ in range(2):
            looker.look()
        nvml.calls()
        looker.look()
        calls = nvml.calls()
    assert "nvmlDeviceGetUUID 0" not in calls
    assert "nvmlDeviceGetNvLinkState 0" not in calls
    assert len(calls) <= 24, calls


def test_unsupported_is_forgotten_where_the_mig_mode_changes(nvml):
    nvml.write(H100.replace("mig=0", "mig=1").replace("util=87\n", ""))
    with Looker(nvml.environment()) as looker:
        assert "utilization_percent" not in by_uuid(looker.look())[H100_UUID]
        nvml.write(H100)
        gpus = [by_uuid(looker.look())[H100_UUID] for _ in range(6)]
    assert gpus[-1]["mig_mode"] is False
    assert gpus[-1]["utilization_percent"] == 87


def test_one_field_that_fails_leaves_the_others(nvml):
    """An [N/A] for one field (prmon 318), here as unknown error 999, which may pass."""
    nvml.write(H100.replace("power_mw=512345", "power_mw=!999"))
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[H100_UUID]
        nvml.write(H100)
        after = by_uuid(looker.look())[H100_UUID]
    assert "power_watts" not in gpu
    assert gpu["temperature_celsius"] == 61
    assert after["power_watts"] == 512.345


def test_garbage_is_null(nvml):
    garbage = {"util=87": "util=4294967295", "temperature=61": "temperature=4294967295", "pstate=0": "pstate=32"}
    garbage |= {"power_mw=512345": "power_mw=4294967295", "used=40000000000": "used=99999999999999", "fan=": ""}
    text = H100
    for right, wrong in garbage.items():
        text = text.replace(right, wrong) if right in text else text
    nvml.write(text + "fan=4294967295\n" + f"proc=77777777:{N_A}\n")
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[H100_UUID]
    for field in ("utilization_percent", "temperature_celsius", "performance_state", "power_watts", "fan_percent"):
        assert field not in gpu
    assert "memory_used" not in gpu
    assert "memory" not in gpu["processes"][0]
    assert gpu["memory_utilization_percent"] == 41


def test_a_unified_memory_board_has_no_memory_of_its_own(nvml):
    pid = os.getpid()
    nvml.write(UNIFIED + f"proc={pid}:7000000000\n")
    with Looker(nvml.environment()) as looker:
        (gpu,) = by_uuid(looker.look()).values()
    assert not [field for field in gpu if field.startswith("memory_") and field != "memory_utilization_percent"]
    assert gpu["pci_bus_id"] == "000f:01:00.0"
    assert gpu["processes"][0]["memory"] == 7_000_000_000
    assert gpu["utilization_percent"] == 12


def test_a_lost_gpu_keeps_its_name_alone_and_comes_back(nvml):
    nvml.write(H100, LAPTOP)
    with Looker(nvml.environment()) as looker:
        assert {gpu["status"] for gpu in by_uuid(looker.look()).values()} == {"ok"}
        nvml.write(H100 + "lost=1\n", LAPTOP)
        lost = [by_uuid(looker.look()) for _ in range(9)]
        starts = nvml.calls().count("nvmlInitWithFlags 0")
        nvml.write(H100, LAPTOP)
        back = [by_uuid(looker.look()) for _ in range(8)][-1]
    for gpus in lost:
        assert set(gpus) == {LAPTOP_UUID, H100_UUID}
        gone = gpus[H100_UUID]
        assert gone["status"] == "lost"
        assert "lost" in gone["error"]
        assert gone["name"] == "NVIDIA H100 80GB HBM3"
        assert not [field for field in gone if "percent" in field or "memory" in field or "celsius" in field]
        assert "processes" not in gone
        assert gpus[LAPTOP_UUID]["status"] == "ok"
        assert gpus[LAPTOP_UUID]["temperature_celsius"] == 48
    assert starts == 4, "the first, and one after 1, 2 and 4 looks more"
    assert back[H100_UUID]["status"] == "ok"
    assert back[H100_UUID]["utilization_percent"] == 87


def test_a_gpu_that_the_driver_no_longer_counts_is_lost(nvml):
    nvml.write(H100, LAPTOP)
    with Looker(nvml.environment()) as looker:
        looker.look()
        nvml.write(LAPTOP)
        gpus = by_uuid(looker.look())
        nvml.write(LAPTOP, H100)
        back = by_uuid(looker.look())
    assert gpus[H100_UUID]["status"] == "lost"
    assert gpus[LAPTOP_UUID]["status"] == "ok"
    assert back[H100_UUID]["status"] == "ok"
    assert back[H100_UUID]["index"] == 1
    assert len(back) == 2


def test_a_gpu_that_tells_its_uuid_late_is_one(nvml):
    nvml.write(H100.replace(f"uuid={H100_UUID}", "uuid=!999"))
    with Looker(nvml.environment()) as looker:
        first = by_uuid(looker.look())
        nvml.write(H100, LAPTOP)
        then = by_uuid(looker.look())
    assert list(first) == ["pci:0000:1b:00.0"]
    assert {uuid: gpu["status"] for uuid, gpu in then.items()} == {H100_UUID: "ok", LAPTOP_UUID: "ok"}


def test_a_gpu_lost_before_the_first_look_is_named_by_its_address(nvml, tmp_path):
    for address, model in (("0000:1b:00.0", "NVIDIA H100 80GB HBM3"), ("0000:02:00.0", "NVIDIA GeForce MX150")):
        folder = tmp_path / "proc/driver/nvidia/gpus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 0\nGPU UUID: \t GPU-????????\n")
    nvml.write(H100 + "lost=1\n", LAPTOP)
    with Looker(nvml.environment(), {"proc": str(tmp_path / "proc")}) as looker:
        gpus = by_uuid(looker.look())
    assert gpus[LAPTOP_UUID]["status"] == "ok"
    lost = gpus["pci:0000:1b:00.0"]
    assert lost["status"] == "lost"
    assert lost["name"] == "NVIDIA H100 80GB HBM3"


def test_a_device_that_may_not_be_opened_is_denied_and_the_others_are_not(nvml):
    nvml.write(H100 + "handle=4\n", LAPTOP)
    with Looker(nvml.environment()) as looker:
        gpus = by_uuid(looker.look())
    assert gpus["index:0"]["status"] == "denied"
    assert gpus[LAPTOP_UUID]["status"] == "ok"


def test_a_question_that_is_denied_is_said(nvml):
    nvml.write(H100 + "proc=1:1000\nsample=!4\n")
    with Looker(nvml.environment()) as looker:
        first, second = looker.look(), looker.look()
    for answer in (first, second):
        assert answer["notes"] == ["the NVIDIA driver keeps from this user: nvmlDeviceGetProcessUtilization"]
        assert answer["look_hint"] == "run as root"
        assert "sm_percent" not in answer["gpus"][0]["processes"][0]


def test_mig_slices_have_their_memory_and_processes(nvml):
    pid = os.getpid()
    slices = (
        "[mig]\nuuid=MIG-1\nname=NVIDIA H100 MIG 1g.10gb\ngi=7\nci=0\ntotal=10200547328\nused=600\n"
        f"proc={pid}:500:7:0\n"
        f"[mig]\nuuid=MIG-2\nname=NVIDIA H100 MIG 3g.40gb\ngi=2\nci=0\ntotal=42144366592\nused=900\nproc={pid}:800\n"
    )
    nvml.write(H100.replace("mig=0", "mig=1").replace("util=87\nmem_util=41\n", "") + slices, LAPTOP)
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[H100_UUID]
    assert gpu["mig_mode"] is True
    assert gpu["mig_devices"] == [
        {
            "uuid": "MIG-1",
            "name": "NVIDIA H100 MIG 1g.10gb",
            "gpu_instance_id": 7,
            "compute_instance_id": 0,
            "memory_total": 10200547328,
            "memory_used": 600,
        },
        {
            "uuid": "MIG-2",
            "name": "NVIDIA H100 MIG 3g.40gb",
            "gpu_instance_id": 2,
            "compute_instance_id": 0,
            "memory_total": 42144366592,
            "memory_used": 900,
        },
    ]
    users = [(p["gpu_instance_id"], p["compute_instance_id"], p["memory"]) for p in gpu["processes"]]
    assert users == [(2, 0, 800), (7, 0, 500)]
    assert "sm_percent" not in gpu["processes"][0]


def test_compute_and_graphics_of_one_process_are_one(nvml):
    pid = os.getpid()
    nvml.write(H100 + f"proc={pid}:700\ngraphics={pid}:{N_A}\ngraphics=77777777:50\nproc=0:9\nmps=77777778:60\n")
    with Looker(nvml.environment()) as looker:
        processes = by_uuid(looker.look())[H100_UUID]["processes"]
    found = {p["pid"]: (p["kind"], p["memory"]) for p in processes}
    assert found == {pid: ("both", 700), 77777777: ("graphics", 50), 77777778: ("compute", 60)}
    assert len(processes) == 3
    assert "start_ticks" not in next(p for p in processes if p["pid"] == 77777777)


def test_an_idle_gpu_has_idle_processes(nvml):
    """GetProcessUtilization answers "not found" where nothing ran: nothing used, not unknown."""
    nvml.write(H100 + "proc=1:1000\n")
    with Looker(nvml.environment()) as looker:
        processes = by_uuid(looker.look())[H100_UUID]["processes"]
    assert processes[0]["sm_percent"] == 0


def test_unknown_utilisation_is_not_zero(nvml):
    nvml.write(H100 + "proc=1:1000\nno_samples=1\n", LAPTOP + "no_processes=1\n")
    with Looker(nvml.environment()) as looker:
        gpus = by_uuid(looker.look())
    assert "sm_percent" not in gpus[H100_UUID]["processes"][0]
    assert "processes" not in gpus[LAPTOP_UUID]


def test_no_process_is_an_empty_list(nvml):
    nvml.write(H100)
    with Looker(nvml.environment()) as looker:
        assert by_uuid(looker.look())[H100_UUID]["processes"] == []


def test_pids_of_another_namespace_are_left_out(nvml, tmp_path):
    """In a container /proc has a pid 5 of its own, which is not the driver's."""
    for pid, link in ((5, "/dev/null"), (6, "/dev/nvidia0")):
        (tmp_path / f"proc/{pid}/fd").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/fd/3").symlink_to(link)
        (tmp_path / f"proc/{pid}/stat").write_text(f"{pid} (python (x)) S " + "0 " * 18 + f"{pid}00 0 0\n")
    nvml.write(H100 + "proc=5:1000\nproc=6:2000\nproc=7:3000\n")
    with Looker(nvml.environment(), {"proc": str(tmp_path / "proc")}) as looker:
        answer = looker.look()
    processes = by_uuid(answer)[H100_UUID]["processes"]
    assert [(p["pid"], p.get("start_ticks")) for p in processes] == [(6, 600), (7, None)]
    assert answer["notes"] == ["GPU processes of another PID namespace than the agent's: 1"]


def test_pcie_rates_come_from_counters_where_there_are_any(nvml):
    nvml.write(H100 + "field=197:1000000\nfield=198:5000000\n")
    with Looker(nvml.environment()) as looker:
        first = by_uuid(looker.look())[H100_UUID]
        nvml.write(H100 + "field=197:3000000\nfield=198:10000000\n")
        nvml.calls()
        second = by_uuid(looker.look())[H100_UUID]
        calls = nvml.calls()
        nvml.write(H100 + "field=197:0\nfield=198:0\n")
        wrapped = by_uuid(looker.look())[H100_UUID]
    assert "pcie_rx_bytes_per_second" not in first
    assert second["pcie_tx_bytes_per_second"] == 200_000
    assert second["pcie_rx_bytes_per_second"] == 500_000
    assert not [call for call in calls if call.startswith("nvmlDeviceGetPcieThroughput")]
    assert "pcie_rx_bytes_per_second" not in wrapped


def test_old_drivers_memory_without_what_they_reserve(nvml):
    nvml.write(LAPTOP)
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[LAPTOP_UUID]
    assert gpu["memory_total"] == 2147483648
    assert gpu["memory_used"] == 104857600
    assert "memory_reserved" not in gpu


def test_old_drivers_have_older_functions(nvml):
    renamed = {
        "nvmlDeviceGetComputeRunningProcesses_v3": "nvmlDeviceGetComputeRunningProcesses_v2",
        "nvmlDeviceGetGraphicsRunningProcesses_v3": "nvmlDeviceGetGraphicsRunningProcesses_v2",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3": "nvmlDeviceGetMPSComputeRunningProcesses_v2",
        "nvmlDeviceGetCurrentClocksEventReasons": "nvmlDeviceGetCurrentClocksThrottleReasons",
    }
    nvml.library.unlink()
    nvml.build(*(f"-D{new}={old}" for new, old in renamed.items()))
    nvml.write(H100 + "proc=1:1000\ngraphics=1:1000\n")
    with Looker(nvml.environment()) as looker:
        gpu = by_uuid(looker.look())[H100_UUID]
    assert [(p["memory"], p["kind"]) for p in gpu["processes"]] == [(1000, "both")]
    assert gpu["throttle_reasons"] == ["sw_power_cap", "unknown_0x200"]


def test_no_library_is_absence_and_costs_nothing(tmp_path):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    with Looker(environment) as looker:
        answer = looker.look()
    if answer["pynvml"]:
        pytest.skip("this machine has an NVIDIA driver")
    assert answer["error"] == "AbsentError"
    assert "libnvidia-ml.so.1 is not installed" in answer["message"]


def test_a_fixture_tree_has_no_nvml(nvml):
    nvml.write(H100)
    with Looker(nvml.environment(), {"live": False}) as looker:
        answer = looker.look()
    assert answer["error"] == "AbsentError"
    assert answer["pynvml"] is False


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (9, "AbsentError", "kernel module is not loaded"),
        (4, "DeniedError", "may not be asked"),
        (18, "RuntimeError", "no longer fits the kernel module"),
        (999, "RuntimeError", "can't be initialised"),
    ],
)
def test_why_nvml_does_not_start(nvml, code, error, words):
    nvml.write(system=SYSTEM + f"init={code}\n")
    with Looker(nvml.environment()) as looker:
        answers = [looker.look() for _ in range(5)]
        calls = nvml.calls()
        nvml.write(H100)
        answers += [looker.look(), looker.look()]
    assert {answer["error"] for answer in answers[:5]} == {error}
    assert words in answers[0]["message"]
    assert calls.count("nvmlInitWithFlags 0") == 1, "what was refused is not tried with every look"
    assert by_uuid(answers[-1])[H100_UUID]["status"] == "ok"


def test_a_driver_that_was_reloaded_is_initialised_again(nvml):
    nvml.write(H100)
    with Looker(nvml.environment()) as looker:
        looker.look()
        nvml.write(H100.replace("temperature=61", "temperature=!1"))
        answer = looker.look()
        nvml.write(H100, system=SYSTEM.replace("580.65.06", "590.10"))
        after = looker.look()
    assert answer["error"] == "RuntimeError"
    assert "does not answer" in answer["message"]
    gpu = by_uuid(after)[H100_UUID]
    assert gpu["status"] == "ok"
    assert gpu["driver_version"] == "590.10"


def test_a_driver_updated_under_the_agent_says_what_to_do(nvml):
    nvml.write(H100)
    with Looker(nvml.environment()) as looker:
        looker.look()
        nvml.write(H100, system=SYSTEM + "count=18\ninit=18\n")
        answer = looker.look()
    assert answer["error"] == "RuntimeError"
    assert "reboot" in answer["message"]


def test_a_driver_without_gpus_is_an_empty_list(nvml):
    nvml.write()
    with Looker(nvml.environment()) as looker:
        assert looker.look()["gpus"] == []


def test_a_name_that_is_no_text_is_null_and_a_hostile_one_is_text(nvml):
    nvml.write(H100.replace("NVIDIA H100 80GB HBM3", "<b>\x1b[31m'; DROP"), LAPTOP)
    nvml.state.write_bytes(nvml.state.read_bytes().replace(b"GeForce", b"\xff\xfe"))
    with Looker(nvml.environment()) as looker:
        gpus = by_uuid(looker.look())
    assert gpus[H100_UUID]["name"] == "<b>\x1b[31m'; DROP"
    assert "name" not in gpus[LAPTOP_UUID]
    assert gpus[LAPTOP_UUID]["status"] == "ok"


def test_the_start_is_read_behind_the_name(tmp_path):
    (tmp_path / "proc/9").mkdir(parents=True)
    (tmp_path / "proc/9/stat").write_bytes(b"9 (a) R 1 (b)) S " + b"0 " * 18 + b"4711 0\n")
    root = HostRoot.fixture(str(tmp_path))
    assert start_ticks(root, 9) == 4711
    assert start_ticks(root, 10) is None
    Path(tmp_path / "proc/9/stat").write_bytes(b"9 (a) S 0\n")
    assert start_ticks(root, 9) is None
