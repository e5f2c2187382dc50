"""A machine's workloads: groups, units, containers, models, endpoints, and what stays the identical record."""

import json
import os

import msgspec
import pytest

from parts.labelled import state_of, tiny_gguf, write_tree
from safetytwin.models.hardware import Disk, Hardware
from safetytwin.models.process import Connection, ProcessGpu
from safetytwin.models.service import Port, Service
from safetytwin.workloads.catalogue import load_catalogue
from safetytwin.workloads.recognise import Recogniser

PYTHON = "/usr/bin/python3.11"
TORCH = "/v/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so"
ROOT = {"name": "root", "argv": ["/v/bin/python3", "/v/bin/vllm", "serve", "Qwen/Qwen3-8B"], "exe": PYTHON,
        "maps": [TORCH]}  # fmt: skip
WORKER = {"name": "worker", "argv": ["VLLM::EngineCore"], "exe": PYTHON, "maps": [TORCH], "parents": [ROOT]}
OLLAMA = {"name": "ollama", "argv": ["ollama", "serve"], "exe": "/usr/bin/ollama"}
MCP = {"name": "mcp", "argv": ["node", "/x/node_modules/.bin/mcp-server-git"], "exe": "/usr/bin/node"}


class Machine:
    """A /proc of cases, and the states that looks at it make."""

    def __init__(self, tree, *cases):
        self.tree = str(tree)
        self.cases = list(cases)
        self.pids = write_tree(self.tree, self.cases)
        self.recogniser = Recogniser(load_catalogue(), proc=os.path.join(self.tree, "proc"))

    def state(self, *, services=(), hardware=None, **changes):
        """Return the state of a look; changes are fields of the processes in question."""
        state = state_of(self.tree, self.cases, self.pids)
        processes = [
            msgspec.structs.replace(one, **changes) if one.pid in self.pids and changes else one
            for one in state.processes
        ]
        return msgspec.structs.replace(
            state, processes=processes, services=list(services), hardware=hardware or Hardware()
        )

    def recognise(self, **changes):
        return self.recogniser.recognise(self.state(**changes))


def of(state, pid):
    return next(process for process in state.processes if process.pid == pid)


def test_what_did_not_change_is_the_identical_object_and_nothing_is_read_again(tmp_path):
    machine = Machine(tmp_path, WORKER, OLLAMA, {"name": "cron", "argv": ["/usr/sbin/cron"], "exe": "/usr/sbin/cron"})
    unit = Service(type="systemd", id="cron.service", name="cron.service", status="active", pid=machine.pids[2])
    state = machine.state(services=[unit])
    first = machine.recogniser.recognise(state)
    read = []
    machine.recogniser._reader.look = read.append
    again = machine.recogniser.recognise(msgspec.structs.replace(state, seq=1))
    assert read == []
    assert all(one is other for one, other in zip(first.processes, again.processes, strict=True))
    assert first.services[0] is again.services[0]
    assert first.ai is again.ai
    moved = msgspec.structs.replace(state.processes[-1], cpu_percent=50.0)
    later = machine.recogniser.recognise(msgspec.structs.replace(state, processes=[*state.processes[:-1], moved]))
    assert later.processes[-1].cpu_percent == 50.0
    assert all(one is other for one, other in zip(first.processes[:-1], later.processes[:-1], strict=True))
    assert read == []


def test_a_process_that_grew_is_read_again(tmp_path):
    machine = Machine(tmp_path, {"name": "app", "argv": ["python3", "app.py"], "exe": PYTHON})
    state = machine.state()
    assert of(machine.recogniser.recognise(state), machine.pids[0]).is_llm_related is False
    with open(f"{tmp_path}/proc/{machine.pids[0]}/maps", "a") as maps:
        maps.write(f"7f1000000000-7f1000200000 r-xp 00000000 08:01 77    {TORCH}\n")
    process = of(state, machine.pids[0])
    memory = msgspec.structs.replace(process.memory_info, vms=process.memory_info.vms + 512 * 1024 * 1024)
    grown = msgspec.structs.replace(process, memory_info=memory)
    others = [one for one in state.processes if one.pid != grown.pid]
    found = machine.recogniser.recognise(msgspec.structs.replace(state, processes=[*others, grown]))
    assert of(found, grown.pid).extra["ai"]["role"] == "ml"


def test_a_workload_sums_its_group_up(tmp_path):
    machine = Machine(tmp_path, WORKER)
    gpu = [ProcessGpu(uuid="GPU-1", memory=7 << 30, sm_percent=40.0)]
    state = machine.state(gpu=gpu, cpu_percent=12.5)
    root = of(state, machine.pids[0]).ppid
    processes = [
        msgspec.structs.replace(one, cpu_percent=30.0, gpu=[ProcessGpu(uuid="GPU-1", memory=1 << 30)])
        if one.pid == root
        else one
        for one in state.processes
    ]
    state = machine.recogniser.recognise(msgspec.structs.replace(state, processes=processes))
    (workload,) = state.ai.workloads
    assert (workload.pid, workload.workers, workload.engine) == (root, machine.pids, "vllm")
    assert workload.id == f"{root}/{of(state, root).start_ticks}"
    assert workload.cpu_percent == 42.5
    assert workload.rss == sum(of(state, pid).memory_info.rss for pid in (root, *machine.pids))
    assert [(one.uuid, one.memory, one.sm_percent) for one in workload.gpus] == [("GPU-1", 8 << 30, 40.0)]
    assert [model.name for model in workload.models] == ["Qwen/Qwen3-8B"]
    assert of(state, root).extra["ai"]["workload"] == workload.id


def unit(name, pid, status="active"):
    return Service(type="systemd", id=name, name=name, status=status, pid=pid)


@pytest.mark.parametrize(
    ("name", "main", "status", "related"),
    [
        ("ollama.service", "process", "active", True),
        ("lmstudio.service", None, "active", True),  # a oneshot unit, MainPID 0
        ("ollama.service", None, "inactive", False),
        ("ssh.service", "init", "active", False),
        ("session-3.scope", None, "active", False),
    ],
)
def test_a_unit_is_related_where_its_own_work_is(tmp_path, name, main, status, related):
    machine = Machine(tmp_path, OLLAMA)
    pid = {"process": machine.pids[0], "init": 1, None: None}[main]
    state = machine.recognise(services=[unit(name, pid, status)], service=f"systemd/{name}")
    assert state.services[0].is_llm_related is related
    if related:
        assert state.services[0].extra["ai"]["engine"] == "ollama"


def test_a_unit_whose_main_process_is_a_shell_that_starts_the_engine(tmp_path):
    shell = {"name": "sh", "argv": ["/bin/sh", "/opt/start.sh"], "exe": "/usr/bin/dash"}
    machine = Machine(tmp_path, OLLAMA | {"parents": [shell]})
    main = of(machine.state(), machine.pids[0]).ppid
    state = machine.recognise(services=[unit("llm.service", main)], service="systemd/llm.service")
    assert state.services[0].is_llm_related is True
    assert of(state, main).is_llm_related is False


def container(status="running", **fields):
    return Service(type="docker", id="c" * 64, name="llm", status=status, image="ollama/ollama:0.12", **fields)


def test_a_container_whose_processes_are_out_of_sight_is_known_by_its_image(tmp_path):
    machine = Machine(tmp_path)
    ports = [Port(container_port=11434, protocol="tcp", host_ip="0.0.0.0", host_port=11434)]
    state = machine.recognise(services=[container(command=["/bin/ollama", "serve"], ports=ports)])
    (workload,) = state.ai.workloads
    assert (workload.id, workload.pid, workload.engine, workload.role) == (
        "docker/" + "c" * 64,
        None,
        "ollama",
        "server",
    )
    assert workload.missing
    assert (workload.endpoints[0].published, workload.endpoints[0].exposed) == ("0.0.0.0:11434", True)
    assert state.services[0].is_llm_related is True
    assert machine.recognise(services=[container("exited")]).ai.workloads == []


def test_a_container_is_the_key_of_the_workload_in_it(tmp_path):
    machine = Machine(tmp_path, OLLAMA)
    key = "docker/" + "c" * 64
    state = machine.recognise(services=[container()], service=key)
    assert [one.id for one in state.ai.workloads] == [key]
    assert state.services[0].extra["ai"]["workload"] == key


@pytest.mark.parametrize(
    ("address", "exposed"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("::", True)]
)
def test_an_engine_that_asks_for_no_key_beyond_loopback_is_a_finding(tmp_path, address, exposed):
    machine = Machine(tmp_path, OLLAMA)
    listening = [Connection("ipv4", "tcp", address, 11434, status="LISTEN")]
    (workload,) = machine.recognise(connections=listening).ai.workloads
    assert [one.exposed for one in workload.endpoints] == [exposed]
    assert bool(workload.findings) is exposed
    assert workload.state == "running"


def test_an_engine_that_does_not_listen_yet_is_starting(tmp_path):
    (workload,) = Machine(tmp_path, OLLAMA).recognise(connections=[]).ai.workloads
    assert workload.state == "starting"


def test_an_mcp_server_whose_client_ended_is_a_finding(tmp_path):
    claude = {"name": "claude", "argv": ["claude"], "exe": "/home/ada/.local/share/claude/versions/2.0.1"}
    machine = Machine(tmp_path, MCP, MCP | {"parents": [claude]})
    by_pid = {one.pid: one for one in machine.recognise().ai.workloads}
    assert by_pid[machine.pids[0]].findings == ["orphaned: the client that started it has ended"]
    assert by_pid[machine.pids[1]].findings is None
    assert {one.role for one in by_pid.values()} == {"agent", "mcp-server"}


def test_an_ollama_blob_has_the_name_of_the_manifest_beside_it(tmp_path):
    digest = "a" * 64
    store = "/root/.ollama/models"
    runner = {"name": "r", "argv": ["/usr/bin/ollama", "runner", "--model", f"{store}/blobs/sha256-{digest}"],
              "exe": "/usr/bin/ollama", "parents": [OLLAMA]}  # fmt: skip
    machine = Machine(tmp_path, runner)
    root = os.path.realpath(f"{tmp_path}/proc/{machine.pids[0]}/root")
    os.makedirs(f"{root}{store}/blobs")
    with open(f"{root}{store}/blobs/sha256-{digest}", "wb") as blob:
        blob.write(tiny_gguf().replace(b"general.name", b"general.none"))
    os.makedirs(f"{root}{store}/manifests/registry.ollama.ai/library/qwen3")
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": 1}
    with open(f"{root}{store}/manifests/registry.ollama.ai/library/qwen3/8b", "w") as manifest:
        json.dump({"layers": [layer]}, manifest)
    state = machine.recognise()
    (model,) = state.ai.models
    assert (model.name, model.name_source, model.store) == ("qwen3:8b", "manifest", "ollama")
    assert model.used_by == [state.ai.workloads[0].id]
    assert state.ai.workloads[0].workers == machine.pids


def test_weights_unmapped_after_the_load_stay_known_with_the_time_they_were_seen(tmp_path):
    app = {"name": "app", "argv": ["/opt/inferd"], "exe": "/opt/inferd", "maps": ["/m/w.gguf"],
           "files": {"/m/w.gguf": "gguf"}}  # fmt: skip
    machine = Machine(tmp_path, app)
    state = machine.state()
    first = machine.recogniser.recognise(state)
    with open(f"{tmp_path}/proc/{machine.pids[0]}/maps", "w") as maps:
        maps.write("7f0000000000-7f0000200000 r-xp 00000000 08:01 5      /opt/inferd\n")
    other = [msgspec.structs.replace(one, num_fds=99) if one.pid == machine.pids[0] else one for one in state.processes]
    later = msgspec.structs.replace(state, processes=other, timestamp="2026-01-31T15:00:00Z")
    second = machine.recogniser.recognise(later)
    assert second.ai.models == first.ai.models
    assert second.ai.models[0].last_seen == "2026-01-31T14:00:00Z"
    assert of(second, machine.pids[0]).is_llm_related is True


def test_nothing_is_opened_on_a_network_file_system_that_does_not_answer(tmp_path):
    server = {"name": "s", "argv": ["llama-server", "-m", "/mnt/dead/w.gguf"], "exe": "/usr/bin/llama-server",
              "files": {"/mnt/dead/w.gguf": "gguf"}}  # fmt: skip
    disks = [Disk(mountpoint="/mnt/dead", device="nas:/m", fstype="nfs4", kind="network", status="stuck")]
    machine = Machine(tmp_path, server)
    (model,) = machine.recognise(hardware=Hardware(disks=disks)).ai.models
    assert (model.name, model.format) == ("w", None)
    (model,) = Machine(tmp_path / "answering", server).recognise().ai.models
    assert (model.name, model.format) == ("Tiny Llama", "gguf")


def test_no_key_gets_into_evidence(tmp_path):
    secret = "sk-" + "a1" * 20
    server = ROOT | {"argv": [*ROOT["argv"], "--api-key", secret]}
    state = Machine(tmp_path, server).recognise()
    (workload,) = state.ai.workloads
    assert secret.encode() not in msgspec.json.encode(state.ai)
    assert workload.findings is None


def test_what_may_not_be_read_is_said(tmp_path, monkeypatch):
    machine = Machine(tmp_path, ROOT)
    look = machine.recogniser._reader.look
    denied = (f"/proc/{machine.pids[0]}/maps",)
    monkeypatch.setattr(machine.recogniser._reader, "look", lambda pid: look(pid)._replace(denied=denied, libraries=()))
    (workload,) = machine.recognise().ai.workloads
    assert any("maps may not be read: run as root" in sentence for sentence in workload.missing)


def test_a_process_that_uses_a_gpu_for_something_else(tmp_path):
    machine = Machine(tmp_path, {"name": "b", "argv": ["blender"], "exe": "/usr/bin/blender"})
    state = machine.recognise(gpu=[ProcessGpu(uuid="GPU-1")])
    assert of(state, machine.pids[0]).extra["ai"]["role"] == "gpu-other"
    assert state.ai.workloads == []
