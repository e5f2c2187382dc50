"""The labelled set: processes of AI, by role, and processes that are not, side by side on one machine.

A case is a line of tests/workloads/labelled/*.jsonl: name, role (null: nothing of AI), argv, exe, and where they
matter comm, cwd, maps, fds, files (path to kind), env, unit, image, labels, main (of its container), listen, gpu,
parents, engine.
"""

import json
import os
import struct
import time
import zipfile

import msgspec

from parts.process_trees import write_machine, write_process
from safetytwin.collectors.base import Look, LookOptions
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.processes import ProcessesCollector
from safetytwin.models.hardware import Hardware
from safetytwin.models.process import Connection, ProcessGpu
from safetytwin.models.service import Service
from safetytwin.models.system_state import Agent, SystemState
from safetytwin.workloads.catalogue import ROLES, load_catalogue
from safetytwin.workloads.recognise import Recogniser

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "workloads", "labelled")


def cases(*names):
    """Return the cases of the named files, of all without a name."""
    found = []
    for file in sorted(os.listdir(FOLDER)):
        if not names or file.removesuffix(".jsonl") in names:
            with open(os.path.join(FOLDER, file), encoding="utf-8") as lines:
                found += [json.loads(line) for line in lines if line.strip()]
    return found


def is_related(role):
    """Return whether a role makes a process LLM related."""
    return role in ROLES


def tiny_gguf():
    """Return a whole GGUF file (version 3) of one tensor, a name and an architecture."""

    def text(value):
        return struct.pack("<Q", len(value)) + value

    pairs = {b"general.architecture": b"llama", b"general.name": b"Tiny Llama"}
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs))
    for key, value in pairs.items():
        data += text(key) + struct.pack("<I", 8) + text(value)
    data += text(b"token_embd.weight") + struct.pack("<IQIQ", 1, 32, 0, 0)
    data += b"\0" * (-len(data) % 32)
    return data + b"\0" * 128


def write_file(path, kind):
    """Write a file of a kind: gguf, zeros or llamafile."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if kind == "llamafile":
        with open(path, "wb") as file:
            file.write(b"MZqFpD='\n" + b"\0" * 64)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("phi.gguf", tiny_gguf())
        return
    with open(path, "wb") as file:
        file.write(tiny_gguf() if kind == "gguf" else bytes(4096))


def write_tree(tree, cases_):
    """Write a /proc in which all cases run, each with files of its own; return their pids in order."""
    write_machine(tree)
    write_process(tree, 1, b"systemd", cmdline=b"/sbin/init\0", exe="/usr/lib/systemd/systemd", ppid=0, start=1)
    pids = []
    next_pid = 1000
    for case in cases_:
        above = 1
        root = os.path.join(tree, "root", str(next_pid))
        for process in (*case.get("parents", ()), case):
            _write(tree, next_pid, process, above, case, root)
            above = next_pid
            next_pid += 1
        pids.append(above)
    return pids


def _write(tree, pid, process, ppid, case, root):
    exe = process.get("exe")
    comm = process.get("comm") or os.path.basename((exe or process["argv"][0]).removesuffix(" (deleted)"))
    cmdline = b"".join(word.encode() + b"\0" for word in process["argv"])
    folder = write_process(
        tree, pid, comm.encode()[:15], cmdline=cmdline, exe=exe, cwd=process.get("cwd", "/home/ada"), ppid=ppid,
        start=1000 + pid,
    )  # fmt: skip
    if not process.get("nomaps"):
        lines = []
        for place, path in enumerate([*process.get("maps", ()), "/usr/lib/x86_64-linux-gnu/libm.so.6"]):
            begin = 0x7F0000000000 + place * 0x400000
            mode = "r-xp" if ".so" in path else "r--s"
            lines.append(f"{begin:x}-{begin + 0x200000:x} {mode} 00000000 08:01 {900 + place}      {path}\n")
        with open(os.path.join(folder, "maps"), "w", encoding="utf-8") as maps:
            maps.writelines(lines)
    with open(os.path.join(folder, "environ"), "w", encoding="utf-8") as environ:
        environ.writelines(f"{name}={value}\0" for name, value in process.get("env", {}).items())
    for number, path in enumerate(process.get("fds", ()), 3):
        os.symlink(path, os.path.join(folder, "fd", str(number)))
    os.makedirs(root, exist_ok=True)
    for path, kind in case.get("files", {}).items():
        if not os.path.exists(root + path):
            write_file(root + path, kind)
    os.symlink(root, os.path.join(folder, "root"))


def state_of(tree, cases_, pids):
    """Return the state that a look at the tree makes, with what a fixture tree can't show joined to it."""
    look = Look(HostRoot.fixture(tree), LookOptions(), 0, {}, time.monotonic(), time.time())
    collector = ProcessesCollector()
    processes = {process.pid: process for process in collector.collect(look)}
    collector.close()
    services = []
    for case, pid in zip(cases_, pids, strict=True):
        service = _service(case, pid)
        changes = {"service": f"{service.type}/{service.id}" if service else None}
        services += [service] if service else []
        if "listen" in case:
            changes["connections"] = [
                Connection("ipv4", "tcp", "0.0.0.0", port, status="LISTEN") for port in case["listen"]
            ]
        if case.get("gpu"):
            changes["gpu"] = [ProcessGpu(uuid="GPU-1", memory=1 << 30)]
        processes[pid] = msgspec.structs.replace(processes[pid], **changes)
    return SystemState(
        schema=1,
        host_id="labelled",
        seq=0,
        timestamp="2026-01-31T14:00:00Z",
        hardware=Hardware(),
        services=services,
        processes=[
            one if one.pid in pids else msgspec.structs.replace(one, service=None) for one in processes.values()
        ],
        agent=Agent(version="0", backend="proc", collectors={}),
    )


def _service(case, pid):
    if "image" in case:
        name = f"{pid:064x}"
        return Service(
            type="docker",
            id=name,
            name="c",
            status="running",
            image=case["image"],
            labels=case.get("labels"),
            pid=pid if case.get("main") else None,
        )
    if "unit" in case:
        return Service(type="systemd", id=case["unit"], name=case["unit"], status="active", pid=pid)
    return None


def recognised(tree, cases_):
    """Return (the processes in question as shown, the recognised state, the recogniser)."""
    pids = write_tree(tree, cases_)
    recogniser = Recogniser(load_catalogue(), proc=os.path.join(tree, "proc"))
    state = recogniser.recognise(state_of(tree, cases_, pids))
    shown = {process.pid: process for process in state.processes}
    return [shown[pid] for pid in pids], state, recogniser


def role_and_engine(process):
    """Return (role, engine) that a process is shown with."""
    ai = (process.extra or {}).get("ai", {})
    return ai.get("role"), ai.get("engine")
