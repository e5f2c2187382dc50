import contextlib
import os
import subprocess
import sys
import time
import types

import psutil

from parts.looks import live_look
from safetytwin.collectors.base import LookOptions
from safetytwin.collectors.portable_processes import PortableProcesses


class FakeProcess:
    """What psutil answers of one process, or the error it raises."""

    pid = 7

    def __init__(self, **answers):
        self._answers = {
            "create_time": 1767225600.25,
            "status": psutil.STATUS_RUNNING,
            "name": "server",
            "ppid": 1,
            "cpu_times": types.SimpleNamespace(user=1.5, system=0.5),
            "memory_info": types.SimpleNamespace(rss=1000, vms=5000),
            "cmdline": ["server", ""],
            "exe": "",
            "cwd": psutil.AccessDenied(7),
            "username": "anna",
            "nice": 32,
            "num_threads": 3,
            "num_handles": 12,
            "is_running": True,
        } | answers

    def __getattr__(self, name):
        if name not in self._answers:
            raise AttributeError(name)
        answer = self._answers[name]

        def call():
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def oneshot(self):
        return contextlib.nullcontext()


def collector_of(process, connections=()):
    collector = PortableProcesses()
    fake = types.SimpleNamespace(**{name: getattr(psutil, name) for name in dir(psutil) if not name.startswith("_")})
    fake.pids = lambda: [7]
    fake.Process = lambda pid: process
    fake.virtual_memory = lambda: types.SimpleNamespace(total=4000)

    def net_connections(kind):
        if isinstance(connections, Exception):
            raise connections
        return connections

    fake.net_connections = net_connections
    collector._psutil = fake
    return collector


def test_a_process_of_windows_has_handles_and_no_uids():
    found = collector_of(FakeProcess()).collect(live_look())[0]
    assert (found.pid, found.start_ticks, found.create_time) == (7, 176722560025, "2026-01-01T00:00:00.250Z")
    assert (found.num_fds, found.uid, found.io_counters, found.exe, found.cwd) == (12, None, None, None, None)
    assert found.cmdline == ["server", ""]
    assert (found.memory_info.rss, found.memory_info.shared, found.memory_percent) == (1000, None, 25)
    assert (found.cpu_seconds, found.cpu_percent) == (2.0, None)


def test_a_zombie_keeps_its_row():
    gone = psutil.ZombieProcess(7)
    process = FakeProcess(status=psutil.STATUS_ZOMBIE, cmdline=gone, exe=gone, memory_info=gone, num_threads=gone)
    found = collector_of(process).collect(live_look())[0]
    assert (found.status, found.cmdline, found.exe, found.memory_info) == ("zombie", [], None, None)


def test_a_process_that_ends_meanwhile_is_counted():
    look = live_look()
    assert collector_of(FakeProcess(cmdline=psutil.NoSuchProcess(7))).collect(look) == []
    assert look.vanished == 1


def test_sockets_that_may_not_be_listed_are_unknown():
    look = live_look()
    found = collector_of(FakeProcess(), psutil.AccessDenied()).collect(look)[0]
    assert found.connections is None
    assert (look.notes, look.hint) == (["sockets may not be listed"], "run as root")


def test_a_reused_pid_starts_afresh():
    collector = collector_of(FakeProcess(is_running=False))
    assert collector.collect(live_look())[0].cpu_percent is None
    assert collector.collect(live_look())[0].cpu_percent is None


def test_this_process_with_its_files_environment_and_cpu(tmp_path):
    code = "import sys; f = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read(1)\nwhile True: pass"
    path = tmp_path / "open file"
    path.touch()
    environment = {**os.environ, "TWIN_TEST": "value"}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as child:
        try:
            assert child.stdout.readline() == b"ready\n"
            options = LookOptions(open_files=True, environment=True)
            collector = PortableProcesses()
            first = {process.pid: process for process in collector.collect(live_look(options=options))}[child.pid]
            assert str(path) in {file.path for file in first.open_files}
            assert first.environment["TWIN_TEST"] == "value"
            assert first.cmdline[1:] == ["-c", code, str(path)]
            assert (first.ppid, first.cpu_percent) == (os.getpid(), None)
            child.stdin.write(b"x")
            child.stdin.flush()
            watched = psutil.Process(child.pid)
            while watched.cpu_times().user < 0.3:
                time.sleep(0.05)
            second = {process.pid: process for process in collector.collect(live_look(1, options=options))}[child.pid]
            assert second.cpu_percent > 0
            assert second.start_ticks == first.start_ticks
        finally:
            child.kill()
