# ruff: noqa: E501 - the records below are a table, one row each
"""A machine worth looking at: AI workloads, containers, units, GPUs, a full disk and collectors that may not see all."""

import time

import msgspec

from safetytwin.fleet.machine import Machine
from safetytwin.models.hardware import (
    Address,
    BlockDevice,
    Cpu,
    Disk,
    Gpu,
    GpuProcess,
    Hardware,
    Interface,
    Memory,
    Sensor,
    Swap,
)
from safetytwin.models.process import MemoryInfo, Process, ProcessGpu
from safetytwin.models.service import Port, Service
from safetytwin.models.system_state import CollectorStatus
from safetytwin.models.timestamps import timestamp
from safetytwin.models.workload import Ai, AiModel, Endpoint, Evidence, ModelUse, Workload, WorkloadGpu

GIB = 1 << 30
H100 = "GPU-8d5c1a02-0000-4000-8000-00000000000{}"
VLLM = "41200/900100"
OLLAMA = "41300/900200"
LLAMA = "/srv/models/Meta-Llama-3.1-8B-Instruct"
QWEN = "/usr/share/ollama/.ollama/models/blobs/sha256-2bada8a74506"


class Atlas:
    """Gives looks of the machine; what a test changes holds from the next look on."""

    def __init__(self, host_id="atlas", *, processes=300, start=None, interval=10.0):
        start = time.time() - 3600 if start is None else start
        self._machine = Machine(host_id, processes=processes, start=start, interval=interval)
        self.began = timestamp(start - 86400)
        self.processes = []
        self.failed_units = {"backup.service": "exit-code"}
        self.unit_changes = {}
        self.containers = _containers(start)
        self.collectors = {
            "docker": CollectorStatus(status="ok", duration=0.012),
            "sensors": CollectorStatus(status="ok", duration=0.001),
            "nvidia": CollectorStatus(status="ok", duration=0.003),
        }
        self.workloads = _workloads()
        self.disk_percent = 96.4

    def look(self):
        state = self._machine.look()
        hardware = self._hardware(state.hardware)
        services = [
            *state.services,
            *(
                Service(type="systemd", id=name, name=name, status="failed", sub_status="failed", load_state="loaded",
                        unit_file_state="enabled", result=result, exit_code=2, description="Nightly backup")
                for name, result in self.failed_units.items()
            ),
            *self.containers,
        ]  # fmt: skip
        services = [msgspec.structs.replace(one, **self.unit_changes.get(one.id, {})) for one in services]
        return msgspec.structs.replace(
            state,
            hardware=hardware,
            services=services,
            processes=[*state.processes, *_ai_processes(self.began), *self.processes],
            ai=Ai(workloads=self.workloads, models=_models()),
            agent=msgspec.structs.replace(state.agent, collectors={**state.agent.collectors, **self.collectors}),
        )

    def _hardware(self, hardware: Hardware) -> Hardware:
        cpu, memory = hardware.cpu or Cpu(), hardware.memory or Memory()
        nvidia = [
            _gpu(index, gpu, memory_used, processes)
            for index, (memory_used, processes) in enumerate(
                (
                    (
                        61 * GIB,
                        [GpuProcess(pid=41200, start_ticks=900100, kind="compute", memory=61 * GIB, sm_percent=88)],
                    ),
                    (
                        int(5.1 * GIB),
                        [GpuProcess(pid=41300, start_ticks=900200, kind="compute", memory=5 * GIB, sm_percent=3)],
                    ),
                )
            )
            for gpu in (hardware.gpu or {})["nvidia"][:1]
        ]
        disks = [
            Disk(mountpoint="/", device="/dev/nvme0n1p2", fstype="ext4", kind="local", total=440 * GIB, used=int(440 * GIB * self.disk_percent / 100),
                 free=int(440 * GIB * (1 - self.disk_percent / 100)), usage_percent=self.disk_percent, inodes_total=1000000, inodes_used=120000, status="ok"),
            *(msgspec.structs.replace(disk, free=(disk.total or 0) - (disk.used or 0), status="ok") for disk in (hardware.disks or [])[1:]),
            Disk(mountpoint="/mnt/nas", device="nas:/export", fstype="nfs4", kind="network", total=8192 * GIB, used=4096 * GIB, free=4096 * GIB, usage_percent=50.0, status="stale"),
        ]  # fmt: skip
        return msgspec.structs.replace(
            hardware,
            cpu=msgspec.structs.replace(cpu, model="AMD EPYC 9354 32-Core Processor", cores_logical=32),
            memory=msgspec.structs.replace(memory, swap=Swap(total=8 * GIB, used=GIB, free=7 * GIB, usage_percent=12.5)),
            disks=disks,
            block_devices=[BlockDevice(name="nvme0n1", kind="disk", model="Samsung PM9A3", size=1920 * 10**9, read_bytes_per_second=2.1e6, write_bytes_per_second=14.2e6, busy_percent=7.0)],
            network=[
                msgspec.structs.replace(
                    one,
                    operstate="up",
                    mtu=1500,
                    speed_mbps=25000 if one.kind == "ethernet" else None,
                    addresses=[Address(address="192.0.2.17" if one.kind == "ethernet" else "127.0.0.1", family="ipv4", prefix=24 if one.kind == "ethernet" else 8)],
                )
                for one in hardware.network or []
            ] + [Interface(name="eth1", kind="ethernet", operstate="down", mac="02:00:00:00:00:02")],
            gpu={"nvidia": nvidia},
            sensors=[
                Sensor(id="k10temp:temp1", kind="temperature", label="Tctl", value=61.5, unit="Cel", high=85.0, critical=95.0),
                Sensor(id="nct6798:fan2", kind="fan", label="CPU fan", value=1180.0, unit="rpm"),
            ],
        )  # fmt: skip


def _gpu(index, gpu: Gpu, memory_used, processes):
    return msgspec.structs.replace(
        gpu, uuid=H100.format(index), index=index, name="NVIDIA H100 80GB HBM3", status="ok", memory_total=80 * GIB,
        memory_used=memory_used, driver_version="560.35.05", power_limit_watts=700.0, processes=processes,
    )  # fmt: skip


def _ai_processes(began):
    return [
        Process(pid=41200, start_ticks=900100, ppid=1, name="python3", exe="/opt/vllm/bin/python3", username="vllm", status="sleeping", create_time=began,
                cmdline=["/opt/vllm/bin/python3", "-m", "vllm.entrypoints.openai.api_server", "--model", LLAMA, "--port", "8000"], cpu_percent=143.2,
                memory_info=MemoryInfo(rss=9 * GIB), num_threads=88, service="systemd/vllm.service", is_llm_related=True,
                gpu=[ProcessGpu(uuid=H100.format(0), memory=61 * GIB, sm_percent=88.0)]),
        Process(pid=41201, start_ticks=900101, ppid=41200, name="python3", username="vllm", status="running", create_time=began,
                cmdline=["VLLM::EngineCore"], cpu_percent=99.1, memory_info=MemoryInfo(rss=4 * GIB), num_threads=60, service="systemd/vllm.service", is_llm_related=True),
        Process(pid=41300, start_ticks=900200, ppid=1, name="ollama", exe="/usr/local/bin/ollama", username="ollama", status="sleeping", create_time=began,
                cmdline=["/usr/local/bin/ollama", "serve"], cpu_percent=1.4, memory_info=MemoryInfo(rss=int(1.2 * GIB)), num_threads=30,
                service="systemd/ollama.service", is_llm_related=True, gpu=[ProcessGpu(uuid=H100.format(1), memory=5 * GIB, sm_percent=3.0)]),
    ]  # fmt: skip


def _containers(start):
    began = timestamp(start - 90000)
    return [
        Service(type="docker", id="9f2c1f0e7a11", name="open-webui", status="running", health="healthy", image="ghcr.io/open-webui/open-webui:main",
                ports=[Port(container_port=8080, protocol="tcp", host_ip="0.0.0.0", host_port=3000)], start_time=began, cpu_percent=2.1, memory=700 << 20, restarts=0),
        Service(type="docker", id="1b77c0ffee01", name="qdrant", status="running", health="unhealthy", image="qdrant/qdrant:v1.12", start_time=began,
                ports=[Port(container_port=6333, protocol="tcp", host_ip="127.0.0.1", host_port=6333)], cpu_percent=0.4, memory=420 << 20, restarts=3),
        Service(type="podman", id="77aa00bb11cc", name="migrate", status="exited", exit_code=1, image="localhost/migrate:2"),
    ]  # fmt: skip


def _workloads():
    return [
        Workload(id=VLLM, role="server", confidence=0.97, engine="vllm", engine_version="0.9.1", name="vLLM", state="running", pid=41200, workers=[41201],
                 service="systemd/vllm.service", models=[ModelUse(id=LLAMA, name="meta-llama/Llama-3.1-8B-Instruct", state="serving")],
                 endpoints=[Endpoint(address="0.0.0.0", port=8000, exposed=True, authenticated=False)],
                 gpus=[WorkloadGpu(uuid=H100.format(0), memory=61 * GIB, sm_percent=88.0)], cpu_percent=242.3, rss=13 * GIB,
                 findings=["reachable from elsewhere on port 8000, and asks for no key"],
                 missing=["the API was not asked (turn it on with workloads.ask_apis)"],
                 evidence=[
                     Evidence(family="argv", source="/proc/41200/cmdline", locator="-m vllm.entrypoints.openai.api_server", says="engine:vllm", weight=3.5),
                     Evidence(family="argv", source="/proc/41200/cmdline", locator="--port 8000", says="role:server", weight=1.0),
                     Evidence(family="library", source="/proc/41200/maps", locator="libcudart.so.12", says="gpu:compute", weight=1.2),
                     Evidence(family="exe", source="/proc/41200/exe", locator="python3", says="engine:generic", weight=-0.4),
                 ]),
        Workload(id=OLLAMA, role="server", confidence=0.99, engine="ollama", engine_version="0.5.4", name="Ollama", state="running", pid=41300,
                 models=[ModelUse(id=QWEN, name="qwen2.5:7b", state="loaded")], endpoints=[Endpoint(address="127.0.0.1", port=11434, exposed=False)],
                 gpus=[WorkloadGpu(uuid=H100.format(1), memory=5 * GIB)], cpu_percent=1.4, rss=int(1.2 * GIB),
                 evidence=[Evidence(family="exe", source="/proc/41300/exe", locator="/usr/local/bin/ollama", says="engine:ollama", weight=4.0)]),
    ]  # fmt: skip


def _models():
    return [
        AiModel(id=LLAMA, name="meta-llama/Llama-3.1-8B-Instruct", name_source="header", path=LLAMA, format="safetensors", architecture="llama", parameters=8_030_261_248,
                quantization="BF16", context_length=131072, size=16 * GIB, kind="model", state="serving", store="huggingface", used_by=[VLLM]),
        AiModel(id=QWEN, name="qwen2.5:7b", name_source="manifest", path=QWEN, format="gguf", architecture="qwen2", parameters=7_615_616_512,
                quantization="Q4_K_M", context_length=32768, size=int(4.36 * GIB), kind="model", state="loaded", store="ollama", used_by=[OLLAMA]),
        AiModel(id="/srv/models/half.gguf", name="half.gguf", name_source="file", path="/srv/models/half.gguf", format="gguf", size=GIB, state="at_rest", problem="ends before its tensors do"),
    ]  # fmt: skip
