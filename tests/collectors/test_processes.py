"""Processes of fixture trees, one for each thing that goes wrong on real hosts."""

import os
import shutil

import msgspec
import pytest

from parts.looks import FIXTURES, fixture_look
from parts.process_trees import stat_line, write_machine, write_process
from safetytwin.collectors.base import AbsentError, Look, LookOptions
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.processes import ProcessesCollector
from safetytwin.models.process import IoCounters, MemoryInfo, Process


def seen(name):
    """Return the processes of a fixture tree by pid, and the look."""
    look = fixture_look(f"processes/{name}")
    collector = ProcessesCollector()
    processes = collector.collect(look)
    collector.close()
    assert [one.pid for one in processes] == sorted(one.pid for one in processes)
    msgspec.json.decode(msgspec.json.encode(processes), type=list[Process])
    return {one.pid: one for one in processes}, look


def test_every_fixture_is_a_list_of_valid_processes():
    for name in os.listdir(os.path.join(FIXTURES, "processes")):
        assert seen(name)[0]


def test_all_fields_of_a_plain_process():
    process = seen("uid-without-a-name")[0][50]
    assert process == Process(
        pid=50,
        start_ticks=5000,
        name="worker",
        ppid=1,
        exe="/usr/bin/worker",
        exe_deleted=False,
        cmdline=["worker"],
        cwd="/",
        username="4242",
        uid=4242,
        status="sleeping",
        create_time="2026-01-01T00:00:50.000Z",
        nice=0,
        kernel_thread=False,
        cpu_percent=None,
        cpu_seconds=0.07,
        memory_percent=0.015,
        memory_info=MemoryInfo(rss=1228800, vms=8192000, shared=819200, text=40960, data=614400, swap=8192),
        num_threads=1,
        num_fds=1,
        io_counters=IoCounters(1, 2, 0, 8192, 315, 321),
        cgroup="/system.slice/worker.service",
        service="systemd/worker.service",
    )


def test_a_name_runs_to_the_last_parenthesis():
    processes, _ = seen("comm-with-parentheses-and-newlines")
    assert [processes[pid].name for pid in (83875, 83876, 83877)] == ["sleep (2) .sh", "a\nb) S 1 (c", ")"]
    assert processes[83876].ppid == 1


def test_a_zombie_is_kept():
    zombie = seen("zombie-with-empty-cmdline")[0][40]
    assert (zombie.status, zombie.cmdline, zombie.exe, zombie.exe_deleted) == ("zombie", [], None, None)
    assert zombie.memory_info.swap is None


def test_kernel_threads_are_kept_and_their_names_do_not_move():
    processes, _ = seen("kernel-thread-without-exe")
    assert processes[2].kernel_thread is True
    assert (processes[2].exe, processes[2].cmdline, processes[2].cwd) == (None, [], None)
    assert [processes[pid].name for pid in (9, 10)] == ["kworker/0:1", "kworker/R-rcu_gp"]
    assert (processes[9].status, processes[10].nice, processes[1].kernel_thread) == ("idle", -20, False)


def test_a_uid_without_a_name_is_its_own_name():
    assert seen("uid-without-a-name")[0][50].username == "4242"
    assert seen("no-passwd")[0][50].username == "1000"


def test_empty_arguments_are_arguments():
    processes, _ = seen("empty-arguments")
    assert processes[60].cmdline == ["prog", "", "--flag", "", ""]
    assert processes[61].cmdline == ["prog", ""]


def test_a_title_is_one_argument():
    processes, _ = seen("title-padded-with-nuls")
    titles = [processes[pid].cmdline for pid in (70, 71, 72)]
    assert titles == [["nginx: master process /usr/sbin/nginx"], ["VLLM::EngineCore"], ["postgres: writer "]]


def test_a_deleted_executable_is_flagged():
    process = seen("exe-deleted")[0][80]
    assert (process.exe, process.exe_deleted) == ("/opt/app/server", True)


def test_bytes_that_are_not_utf8_become_replacement_characters():
    process = seen("bytes-that-are-not-utf8")[0][90]
    assert process.name == "caf\ufffd\ufffd"
    assert process.cmdline == ["caf\ufffd", "--name=\ufffd\ufffd"]


def test_links_that_are_not_utf8_too(tmp_path):
    write_machine(tmp_path)
    write_process(tmp_path, 5, exe=None, cwd=None)
    folder = os.fsencode(tmp_path) + b"/proc/5/"
    os.symlink(b"/opt/caf\xe9", folder + b"exe")
    os.symlink(b"/srv/\xff", folder + b"cwd")
    (process,) = ProcessesCollector().collect(fixture_look(tmp_path))
    assert (process.exe, process.cwd) == ("/opt/caf\ufffd", "/srv/\ufffd")


def test_what_is_listed_and_gone_is_counted():
    processes, look = seen("listed-and-gone")
    assert list(processes) == [1]
    assert look.vanished == 1
    assert look.notes == []


def test_numbers_that_mean_none_are_null():
    process = seen("numbers-that-mean-none")[0][100]
    assert (process.io_counters.read_chars, process.io_counters.read_bytes, process.io_counters.write_chars) == (
        None,
        None,
        321,
    )
    assert (process.memory_info.vms, process.memory_info.rss) == (None, 1228800)


def test_one_senseless_process_leaves_the_others():
    processes, look = seen("stat-that-makes-no-sense")
    assert list(processes) == [1, 111]
    assert look.notes == ["1 processes were left out: their stat file cannot be understood"]


def test_a_kernel_without_io_accounting():
    process = seen("no-io-accounting")[0][120]
    assert process.io_counters is None
    assert process.memory_info is not None


def test_hidepid_is_said():
    processes, look = seen("hidepid-2")
    assert list(processes) == [130]
    assert look.notes == ["restricted: /proc is mounted with hidepid=invisible, 1 processes can be seen"]
    assert "run as root" in look.hint


def test_a_machine_without_proc_is_absent(tmp_path):
    with pytest.raises(AbsentError):
        ProcessesCollector().collect(fixture_look(tmp_path))


@pytest.fixture
def tree(tmp_path):
    write_machine(tmp_path)
    for pid in (10, 20, 30):
        write_process(tmp_path, pid)
    return tmp_path


def look_again(collector, tree, **options):
    look = Look(HostRoot.fixture(str(tree)), LookOptions(**options), 0, {}, 0.0, 0.0)
    return {one.pid: one for one in collector.collect(look)}


def test_what_did_not_change_is_the_same_object(tree):
    collector = ProcessesCollector()
    first = look_again(collector, tree)
    assert first[10].cpu_percent is None
    second = look_again(collector, tree)
    assert second[10].cpu_percent == 0.0
    write_process(tree, 20, ticks=(500, 0))
    third = look_again(collector, tree)
    assert third[10] is second[10]
    assert third[30] is second[30]
    assert third[20].cpu_percent > 0
    fourth = look_again(collector, tree)
    assert fourth[20].cpu_percent == 0.0
    assert look_again(collector, tree)[20] is fourth[20]


def test_a_reused_pid_is_another_process(tree):
    collector = ProcessesCollector()
    look_again(collector, tree)
    before = look_again(collector, tree)[20]
    write_process(tree, 20, b"other", uid=0, cmdline=b"other\0", start=9000, ticks=(99, 0))
    after = look_again(collector, tree)[20]
    assert (before.start_ticks, after.start_ticks) == (5000, 9000)
    assert (after.name, after.username, after.cpu_percent) == ("other", "root", None)


def test_children_of_an_ended_process_are_adopted(tree):
    write_process(tree, 40, ppid=20)
    collector = ProcessesCollector()
    assert look_again(collector, tree)[40].ppid == 20
    shutil.rmtree(tree / "proc" / "20")
    (tree / "proc" / "40" / "stat").write_bytes(stat_line(40, ppid=10))
    processes = look_again(collector, tree)
    assert 20 not in processes
    assert processes[40].ppid == 10


def test_a_user_renamed_in_passwd_is_renamed_everywhere(tree):
    collector = ProcessesCollector()
    assert look_again(collector, tree)[10].username == "ada"
    (tree / "etc" / "passwd").write_bytes(b"grace:x:1000:1000::/home/grace:/bin/sh\n")
    assert {one.username for one in look_again(collector, tree).values()} == {"grace"}


def test_open_files_and_environment_only_where_asked_for(tree):
    os.symlink("/srv/model.gguf", tree / "proc" / "10" / "fd" / "3")
    os.symlink("socket:[4711]", tree / "proc" / "10" / "fd" / "4")
    (tree / "proc" / "10" / "environ").write_bytes(b"PATH=/bin\0TOKEN=x\0")
    plain = look_again(ProcessesCollector(), tree)[10]
    assert (plain.open_files, plain.environment, plain.num_fds) == (None, None, 3)
    full = look_again(ProcessesCollector(), tree, open_files=True, environment=True)[10]
    assert sorted((one.fd, one.path) for one in full.open_files) == [(0, "/dev/null"), (3, "/srv/model.gguf")]
    assert full.environment == {"PATH": "/bin", "TOKEN": "x"}
    assert full.connections is None


def test_a_very_long_command_line_is_cut_and_said_so(tree):
    exact = b"prog\0" + b"x" * (128 * 1024 - 1) + b"\0"
    write_process(tree, 10, cmdline=exact)
    write_process(tree, 20, cmdline=b"prog\0" + b"y" * (512 * 1024) + b"\0")
    processes = look_again(ProcessesCollector(), tree)
    assert processes[10].cmdline == ["prog", "x" * (128 * 1024 - 1)]
    assert processes[10].extra is None
    assert sum(map(len, processes[20].cmdline)) + 1 == 256 * 1024
    assert processes[20].extra == {"cmdline_cut": True}


def test_five_thousand_processes(tmp_path):
    write_machine(tmp_path)
    for pid in range(1, 5001):
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir()
        (folder / "stat").write_bytes(stat_line(pid, start=pid))
    collector = ProcessesCollector()
    assert len(look_again(collector, tmp_path)) == 5000
    second = look_again(collector, tmp_path)
    third = look_again(collector, tmp_path)
    assert all(third[pid] is second[pid] for pid in third)
    shutil.rmtree(tmp_path)  # pytest would keep it for three runs
