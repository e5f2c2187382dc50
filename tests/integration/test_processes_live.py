"""The processes of this machine, held against psutil, ss and what the test itself did to them."""

import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager

import msgspec
import psutil
import pytest

from parts.looks import live_look
from parts.puppet import puppet
from safetytwin.collectors.base import Look, LookOptions
from safetytwin.collectors.host_root import HostRoot, read_bytes
from safetytwin.collectors.process_reading import KeptFiles
from safetytwin.collectors.process_tracking import LIGHT_LOOKS, RECHECK_LOOKS, WHOLE_LOOKS
from safetytwin.collectors.processes import ProcessesCollector
from safetytwin.collectors.sockets import CONNECTIONS_LOOKS
from safetytwin.models.process import Process
from safetytwin.models.timestamps import seconds_of

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def collector():
    made = ProcessesCollector()
    yield made
    made.close()


def look(collector, **options):
    return {one.pid: one for one in collector.collect(live_look(options=LookOptions(**options)))}


def settled(collector, looks=3, **options):
    for _ in range(looks - 1):
        look(collector, **options)
    return look(collector, **options)


def looks_until(collector, true, most):
    """Look until true(processes) holds; fail where that takes more than most looks."""
    for number in range(1, most + 1):
        if true(look(collector)):
            return number
    pytest.fail(f"not seen within {most} looks")


# Against psutil and ss.


@pytest.mark.parametrize("looks", [1, 3])
def test_the_same_as_psutil_says(collector, looks):
    with puppet("", "two words", "") as one, puppet("--port=1") as other, socket.create_server(("127.0.0.1", 0)):
        processes = settled(collector, looks)
        for pid in (one.pid, other.pid, os.getpid(), os.getppid()):
            ours, theirs = processes[pid], psutil.Process(pid)
            assert (ours.name, ours.ppid, ours.exe) == (theirs.name(), theirs.ppid(), theirs.exe())
            assert (ours.cwd, ours.username, ours.uid) == (theirs.cwd(), theirs.username(), theirs.uids().real)
            assert (ours.nice, ours.num_threads) == (theirs.nice(), theirs.num_threads())
            assert abs(seconds_of(ours.create_time) - theirs.create_time()) < 0.02
        for one_of in (one, other):
            ours, theirs = processes[one_of.pid], psutil.Process(one_of.pid)
            assert ours.memory_info.rss == pytest.approx(theirs.memory_info().rss, rel=0.1)
            assert ours.memory_info.vms == pytest.approx(theirs.memory_info().vms, rel=0.1)
            assert ours.memory_percent == pytest.approx(theirs.memory_percent(), rel=0.1, abs=0.01)
            assert ours.cmdline == theirs.cmdline()
            assert ours.num_fds == theirs.num_fds()
            assert ours.status == theirs.status() == "sleeping"
            counters = theirs.io_counters()
            assert (ours.io_counters.read_count, ours.io_counters.write_bytes) == (counters[0], counters[3])
            assert ours.cpu_seconds == pytest.approx(sum(theirs.cpu_times()[:2]), abs=0.02)
        assert processes[one.pid].cmdline[-3:] == ["", "two words", ""]


def test_the_list_is_psutils(collector):
    long_ago = time.time() - 30
    old = {one.pid: one.info for one in psutil.process_iter(["create_time", "name", "uids"])}
    old = {pid: info for pid, info in old.items() if info["create_time"] < long_ago}
    processes = settled(collector)
    for pid in old.keys() & set(psutil.pids()):
        assert abs(seconds_of(processes[pid].create_time) - old[pid]["create_time"]) < 0.02
        assert processes[pid].uid == old[pid]["uids"].real
        if not processes[pid].kernel_thread:
            assert old[pid]["name"].startswith(processes[pid].name)  # psutil completes long names


def test_the_same_sockets_as_psutil_and_ss(collector):
    with puppet() as one:
        one.do("s = socket.create_server(('127.0.0.1', 0)); kept.append(s)")
        one.do("kept.append(socket.create_connection(s.getsockname())); kept.append(s.accept()[0])")
        one.do("u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(('::1', 0)); kept.append(u)")
        for looks in (1, 2):
            ours = settled(collector, looks)[one.pid].connections
            theirs = {
                (tuple(c.laddr), tuple(c.raddr), c.status if c.type == socket.SOCK_STREAM else None)
                for c in psutil.Process(one.pid).net_connections("inet")
            }
            mine = {
                ((c.local_address, c.local_port), (c.remote_address, c.remote_port) if c.remote_port else (), c.status)
                for c in ours
            }
            assert mine == theirs
            assert len(ours) == 4
        listed = subprocess.run(["ss", "-Htuanp"], capture_output=True, text=True, check=True).stdout.splitlines()
        by_ss = [line.split()[4] for line in listed if f"pid={one.pid}," in line]
        texts = [
            f"[{c.local_address}]:{c.local_port}" if c.family == "ipv6" else f"{c.local_address}:{c.local_port}"
            for c in ours
        ]
        assert sorted(texts) == sorted(by_ss)


def test_cpu_of_a_busy_process(collector):
    with puppet() as one:
        first = look(collector)[one.pid]
        assert first.cpu_percent is None
        time.sleep(0.1)  # what it did to get here is over
        began = time.monotonic()
        look(collector)
        first_seen, before = time.monotonic(), sum(psutil.Process(one.pid).cpu_times()[:2])
        one.do("end = time.process_time() + 0.5")
        one.do("[None for _ in iter(lambda: time.process_time() < end, False)]")
        # Its clock stops with it, so neither a slow machine nor a late look changes what must come out.
        used = sum(psutil.Process(one.pid).cpu_times()[:2]) - before
        asked = time.monotonic()
        second = look(collector)[one.pid]
        longest, shortest = time.monotonic() - began, asked - first_seen
        assert used >= 0.4
        # Two clock ticks are what a reading may be off by.
        assert 100 * (used - 0.03) / longest - 0.1 <= second.cpu_percent <= 100 * (used + 0.03) / shortest + 0.1
        assert look(collector)[one.pid].cpu_percent == 0.0


# What is promised for processes that the gate passes over.


def test_what_did_not_run_is_the_same_object(collector):
    with puppet() as one:
        before = settled(collector, 4)[one.pid]
        for _ in range(5):
            assert look(collector)[one.pid] is before


def test_another_program_is_seen_at_once(collector):
    with puppet() as one:
        before = settled(collector)[one.pid]
        one.order("os.execv('/bin/sleep', ['sleep', '200'])")
        # The kernel sets the name before the arguments.
        wait_for(lambda: psutil.Process(one.pid).cmdline() == ["sleep", "200"])
        after = look(collector)[one.pid]
        assert (after.name, after.cmdline) == ("sleep", ["sleep", "200"])
        assert after.exe == psutil.Process(one.pid).exe() != before.exe
        assert after.start_ticks == before.start_ticks


def wait_for(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_new_name_is_seen_at_once(collector):
    with puppet() as one:
        settled(collector)
        one.do("ctypes.CDLL(None).prctl(15, b'renamed', 0, 0, 0)")
        assert look(collector)[one.pid].name == "renamed"


def test_a_title_written_over_the_arguments(collector):
    site = os.path.dirname(os.path.dirname(__import__("setproctitle").__file__))
    with puppet("x" * 200) as one:
        one.do(f"sys.path.append({site!r}); import setproctitle")
        settled(collector, 10)
        one.do("setproctitle.setproctitle('a title of its own')")
        looks_until(collector, lambda seen: seen[one.pid].cmdline == ["a title of its own"], RECHECK_LOOKS + 1)


def test_another_folder(collector):
    with puppet() as one:
        settled(collector, 10)
        one.do("os.chdir('/tmp')")
        looks_until(collector, lambda seen: seen[one.pid].cwd == "/tmp", RECHECK_LOOKS + 1)


@root
def test_another_user(collector):
    with puppet() as one:
        settled(collector, 10)
        one.do("os.setresuid(65533, 65533, 65533)")
        looks_until(collector, lambda seen: seen[one.pid].uid == 65533, RECHECK_LOOKS + 1)
        assert look(collector)[one.pid].username == "65533"


@pytest.mark.parametrize("threads", [0, 3])
def test_a_descriptor_opened_for_one_that_was_closed(collector, threads):
    def paths(seen):
        return {opened.path for opened in seen[one.pid].open_files}

    with puppet() as one:
        for _ in range(threads):
            one.do("threading.Thread(target=time.sleep, args=(240,), daemon=True).start()")
        one.do("f = open('/etc/passwd')")
        assert "/etc/passwd" in paths(settled(collector, 10, open_files=True))
        count = look(collector)[one.pid].num_fds
        one.do("f.close(); f = open('/etc/group')")
        promised = LIGHT_LOOKS if threads else RECHECK_LOOKS + 1
        looks_until(collector, lambda seen: "/etc/group" in paths(seen) and "/etc/passwd" not in paths(seen), promised)
        assert look(collector)[one.pid].num_fds == count


def test_more_descriptors_are_seen_at_once(collector):
    with puppet() as one:
        before = settled(collector)[one.pid].num_fds
        one.do("kept.extend(open('/etc/passwd') for _ in range(7))")
        assert look(collector)[one.pid].num_fds == before + 7


def test_a_socket_in_the_place_of_another_is_seen_at_once(collector):
    with puppet() as one:
        one.do("s = socket.create_server(('127.0.0.1', 0))")
        (before,) = settled(collector, 10)[one.pid].connections
        one.do("s.close(); s = socket.create_server(('127.0.0.1', 0))")
        (after,) = look(collector)[one.pid].connections
        assert after != before


def test_a_shared_socket_closed_with_the_count_unchanged(collector):
    with puppet() as one:
        one.do("import subprocess")
        one.do("s = socket.create_server(('127.0.0.1', 0))")
        one.do("holder = subprocess.Popen(['sleep', '240'], pass_fds=[s.fileno()])")
        try:
            before = settled(collector, 10)[one.pid]
            assert len(before.connections) == 1
            one.do("s.close(); f = open('/etc/passwd')")
            looks_until(collector, lambda seen: not seen[one.pid].connections, RECHECK_LOOKS + 1)
            assert look(collector)[one.pid].num_fds == before.num_fds
        finally:
            one.do("holder.kill(); holder.wait()")


def test_a_shared_socket_received_in_the_place_of_a_closed_file(collector, tmp_path):
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as shared, socket.socket(socket.AF_UNIX) as server, puppet() as one:
        server.bind(path)
        server.listen(1)
        one.do(f"u = socket.socket(socket.AF_UNIX); u.connect({path!r}); f = open('/etc/passwd')")
        link, _ = server.accept()
        with link:
            before = settled(collector, 10)[one.pid]
            assert before.connections == []
            socket.send_fds(link, [b"here"], [shared.fileno()])
            one.do("f.close(); kept.extend(socket.recv_fds(u, 4, 1)[1])")
            port = shared.getsockname()[1]
            looks_until(
                collector, lambda seen: [c.local_port for c in seen[one.pid].connections] == [port], LIGHT_LOOKS
            )
            assert look(collector)[one.pid].num_fds == before.num_fds


def test_a_half_closed_connection(collector):
    with puppet() as one, puppet() as other:
        one.do("s = socket.create_server(('127.0.0.1', 0)); s.listen()")
        port = look(collector)[one.pid].connections[0].local_port
        other.do(f"c = socket.create_connection(('127.0.0.1', {port}))")
        one.do("a = s.accept()[0]")
        settled(collector)
        one.do("a.shutdown(socket.SHUT_WR)")
        looks_until(
            collector,
            lambda seen: [c.status for c in seen[other.pid].connections] == ["CLOSE_WAIT"],
            CONNECTIONS_LOOKS,
        )


@root
@pytest.mark.parametrize("threads", [0, 3])
def test_renice_from_outside(collector, threads):
    with puppet() as one:
        for _ in range(threads):
            one.do("threading.Thread(target=time.sleep, args=(240,), daemon=True).start()")
        settled(collector, 10)
        os.setpriority(os.PRIO_PROCESS, one.pid, 7)
        looks_until(collector, lambda seen: seen[one.pid].nice == 7, LIGHT_LOOKS)


def wait_until_empty(cgroup):
    wait_for(lambda: not read_bytes(f"{cgroup}/cgroup.procs"))


@contextmanager
def own_cgroup():
    for parent in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory"):
        path = f"{parent}/safetytwin-test-{os.getpid()}.scope"
        if os.path.exists(f"{parent}/cgroup.procs"):
            try:
                os.mkdir(path)
            except OSError:
                continue
            try:
                yield path
            finally:
                wait_until_empty(path)
                os.rmdir(path)
            return
    pytest.skip("no control group can be made here")


@root
def test_another_control_group(collector):
    with own_cgroup() as path, puppet() as one:
        settled(collector, 10)
        with open(f"{path}/cgroup.procs", "w") as procs:
            procs.write(str(one.pid))
        group = f"/{os.path.basename(path)}"
        looks_until(collector, lambda seen: seen[one.pid].cgroup == group, LIGHT_LOOKS)


def test_everything_is_read_again_in_the_end(collector, tmp_path):
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    running = subprocess.Popen([program, "240"])
    try:
        settled(collector)
        program.unlink()
        looks_until(collector, lambda seen: seen[running.pid].exe_deleted is True, LIGHT_LOOKS)
        assert look(collector)[running.pid].exe == str(program)
        tracked = collector._tracked[str(running.pid)]
        number = collector._number
        assert tracked._whole_at - number <= WHOLE_LOOKS
    finally:
        running.kill()
        running.wait()


def test_an_ended_parent_is_no_parent(collector):
    with puppet() as one:
        one.do("child = os.fork() or time.sleep(240)")
        child = psutil.Process(one.pid).children()[0].pid
        assert settled(collector)[child].ppid == one.pid
        try:
            one.running.kill()
            wait_for(lambda: psutil.Process(child).ppid() != one.pid)
            assert look(collector)[child].ppid == psutil.Process(child).ppid()
        finally:
            psutil.Process(child).kill()


@pytest.mark.parametrize("lacking", ["schedstat", "descriptors", "sizes of fd folders"])
def test_what_is_seen_at_once_where_the_cheap_ways_are_lacking(monkeypatch, lacking):
    module = "safetytwin.collectors.processes"
    if lacking == "schedstat":
        monkeypatch.setattr(f"{module}.has_schedstat", lambda proc: False)
    elif lacking == "descriptors":
        monkeypatch.setattr(f"{module}.KeptFiles.within_limit", lambda: KeptFiles(0))
    else:
        monkeypatch.setattr(f"{module}.folder_size_counts_descriptors", lambda proc: False)
    collector = ProcessesCollector()
    with puppet() as one:
        before = settled(collector)[one.pid]
        assert look(collector)[one.pid] is before
        one.do("kept.extend(open('/etc/passwd') for _ in range(300))")
        one.do("ctypes.CDLL(None).prctl(15, b'renamed', 0, 0, 0)")
        after = look(collector)[one.pid]
        assert (after.name, after.num_fds) == ("renamed", before.num_fds + 300)
        one.order("os.execv('/bin/sleep', ['sleep', '200'])")
        wait_for(lambda: psutil.Process(one.pid).name() == "sleep")
        assert look(collector)[one.pid].cmdline == ["sleep", "200"]
    assert one.pid not in look(collector)
    collector.close()


# Processes that are hard to look at.


def test_processes_that_end_during_the_look(collector):
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            subprocess.run(["/bin/true"], check=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(20):
            assert os.getpid() in look(collector)
    finally:
        stop.set()
        thread.join()


def test_a_zombie(collector):
    running = subprocess.Popen(["/bin/true"])
    try:
        wait_for(lambda: psutil.Process(running.pid).status() == "zombie")
        zombie = settled(collector)[running.pid]
        assert (zombie.status, zombie.cmdline, zombie.exe, zombie.name) == ("zombie", [], None, "true")
    finally:
        running.wait()
    assert running.pid not in look(collector)


def test_ten_thousand_descriptors(collector):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 10_500:
        pytest.skip(f"no more than {hard} files may be open here")
    with puppet() as one:
        before = look(collector)[one.pid].num_fds
        one.do("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (10500, 10500))")
        one.do("kept.extend(os.open('/etc/passwd', os.O_RDONLY) for _ in range(10000))")
        process = look(collector, open_files=True)[one.pid]
        assert process.num_fds == before + 10_000


def test_an_argument_of_128_kib(collector):
    argument = "x" * (128 * 1024 - 1)
    with puppet(argument) as one:
        process = settled(collector)[one.pid]
        assert process.cmdline[-1] == argument
        assert process.extra is None


def test_a_name_of_odd_bytes(collector):
    with puppet() as one:
        one.do(r"ctypes.CDLL(None).prctl(15, b') R \n(\xff', 0, 0, 0)")
        assert look(collector)[one.pid].name == ") R \n(\ufffd"


@root
def test_a_process_in_another_pid_namespace(collector):
    with puppet("inside", before=["unshare", "--fork", "--pid", "--kill-child"]) as one:
        assert one.pid == 1
        processes = look(collector)
        (inside,) = [p for p in processes.values() if p.ppid == one.running.pid]
        assert inside.cmdline[-1] == "inside"


@root
def test_a_process_in_another_network_namespace(collector):
    with puppet(before=["unshare", "--net"]) as one:
        one.do("s = socket.create_server(('0.0.0.0', 4711))")
        assert look(collector)[one.pid].connections is None


@root
def test_environment_only_where_asked_for(collector):
    os.environ["SAFETYTWIN_TEST"] = "x=1"
    try:
        with puppet() as one:
            assert look(collector)[one.pid].environment is None
            other = ProcessesCollector()
            assert look(other, environment=True)[one.pid].environment["SAFETYTWIN_TEST"] == "x=1"
            other.close()
    finally:
        del os.environ["SAFETYTWIN_TEST"]


# Without permission.


def in_a_child(prepare, proc="/proc", looks=3):
    """Look in a child process after prepare(); return (processes by pid, notes, hint)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            prepare()
            collector = ProcessesCollector()
            for _ in range(looks):
                one = Look(HostRoot(proc=proc), LookOptions(), 0, {}, time.monotonic(), time.time())
                found = collector.collect(one)
            collector.close()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(msgspec.json.encode((found, one.notes, one.hint)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    assert data, "the child failed"
    found, notes, hint = msgspec.json.decode(data, type=tuple[list[Process], list[str], str | None])
    return {one.pid: one for one in found}, notes, hint


def become_nobody():
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


@root
def test_without_privileges_fields_are_null_and_that_is_said():
    with puppet() as one:
        processes, notes, hint = in_a_child(become_nobody)
        process = processes[one.pid]
        assert (process.exe, process.cwd, process.io_counters, process.connections) == (None, None, None, None)
        assert (process.uid, process.cmdline[0]) == (0, psutil.Process(one.pid).cmdline()[0])
        assert process.num_threads == 1
        assert process.memory_info.rss > 0
        assert any(note.startswith("restricted: ") and "show only a part" in note for note in notes)
        assert "CAP_SYS_PTRACE" in hint


@contextmanager
def proc_with(option):
    folder = tempfile.mkdtemp(prefix="safetytwin-proc-")
    os.chmod(folder, 0o755)  # noqa: S103 - nobody looks into it too
    mounted = subprocess.run(["mount", "-t", "proc", "-o", option, "proc", folder], capture_output=True, check=False)
    if mounted.returncode:
        os.rmdir(folder)
        pytest.skip(f"/proc can't be mounted with {option} here: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


@root
@pytest.mark.parametrize(("option", "said"), [("hidepid=1", "listed but may not be read"), ("hidepid=2", "is mounted")])
def test_hidden_processes_are_said_to_be(option, said):
    with proc_with(option) as proc:
        processes, notes, hint = in_a_child(become_nobody, proc)
        assert os.getpid() not in processes
        assert any(note.startswith("restricted: ") and said in note for note in notes)
        assert "run as root" in hint


@pytest.mark.parametrize("left", [3, 40, 200])
def test_few_descriptors_never_break_a_look(left):
    def leave_few():
        limit = max(int(name) for name in os.listdir("/proc/self/fd")) + left
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    with puppet() as one:
        processes, _, _ = in_a_child(leave_few, looks=5)
        assert processes[one.pid].cmdline == psutil.Process(one.pid).cmdline()
        assert processes[one.pid].num_fds == psutil.Process(one.pid).num_fds()
        assert processes[one.pid].username == psutil.Process(one.pid).username()
        assert processes.keys() >= {os.getpid(), os.getppid(), one.pid}


def test_close_gives_all_descriptors_back(collector):
    before = len(os.listdir("/proc/self/fd"))
    settled(collector)
    assert len(os.listdir("/proc/self/fd")) > before
    collector.close()
    assert len(os.listdir("/proc/self/fd")) == before
