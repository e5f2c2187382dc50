"""The systemd collector against a real systemd as PID 1, each field beside what systemctl show says."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from parts.systemd import Systemd, running_systemd, wait_for
from safetytwin.collectors import systemd_view
from safetytwin.collectors.base import DeniedError, Look, LookOptions
from safetytwin.collectors.systemd import SystemdCollector
from safetytwin.models.service import Service

pytestmark = [pytest.mark.root, pytest.mark.systemd]

INSTALL = "[Install]\nWantedBy=multi-user.target\n"
GENERATED = 300
UNITS = {
    "run.service": "[Unit]\nDescription=Serves\nWants=helper.service\nRequires=basic.target\n"
    "[Service]\nExecStart=/bin/sleep 1000000\nUser=daemon\nEnvironment=TOKEN=abc 'TEXT=two words=2'\n"
    "MemoryMax=64M\nCPUQuota=150%%\nTasksMax=32\nRestart=on-failure\nCPUAccounting=yes\n" + INSTALL,
    "run.service.d/more.conf": "[Service]\nEnvironment=MORE=1\n",
    "helper.service": "[Service]\nExecStart=/bin/sleep 1000000\n",
    "busy.service": "[Service]\nExecStart=/bin/sh -c 'while :; do :; done'\nCPUQuota=20%%\nCPUAccounting=yes\n",
    "exit.service": "[Service]\nExecStart=/bin/sh -c 'exit 3'\n",
    "killed.service": "[Service]\nExecStart=/bin/sh -c 'kill -USR1 $$$$'\n",
    "activating.service": "[Service]\nType=notify\nExecStart=/bin/sleep 1000000\nTimeoutStartSec=infinity\n",
    "once.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "remains.service": "[Service]\nType=oneshot\nExecStart=/bin/true\nRemainAfterExit=yes\n",
    "again.service": "[Service]\nExecStart=/bin/sleep 1000000\nRestart=always\nRestartSec=0\nStartLimitBurst=100\n",
    "plain@.service": "[Service]\nExecStart=/bin/sleep 1000000\n",
    "installed.service": "[Unit]\nDescription=Installed\n[Service]\nExecStart=/bin/sleep 1\n" + INSTALL,
    "static.service": "[Service]\nExecStart=/bin/sleep 1\n",
    "masked.service": "-> /dev/null",
    "needs.service": "[Unit]\nWants=gone.service\nAfter=gone.service once.service\n"
    "[Service]\nExecStart=/bin/sleep 1000000\n",
    "bad.mount": "[Mount]\nWhat=/nowhere\nWhere=/bad\nType=ext4\n",
    "many@.service": "[Service]\nType=oneshot\nExecStart=/bin/true\nRemainAfterExit=yes\n",
    **{f"many.target.wants/many@{number}.service": "-> ../many@.service" for number in range(GENERATED)},
    "many.target": "[Unit]\nDescription=Many\n",
}
UNITS = {name: text.replace("%%", "%") for name, text in UNITS.items()}
ESCAPED = r"plain@dev-disk-by\x2dlabel-a\x20b.service"
STARTED = ("run", "busy", "helper", "remains", "again", "needs", ESCAPED)


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    with running_systemd(tmp_path_factory.mktemp("systemd"), UNITS) as running:
        running.run("systemctl", "start", *STARTED)
        running.run("systemctl", "start", "once", "exit", "killed", "bad.mount", check=False)
        running.run("systemctl", "start", "--no-block", "activating")
        for unit in ("exit", "killed"):
            wait_for(lambda unit=unit: running.show(unit)["ActiveState"] == "failed", f"{unit} has failed")
        wait_for(lambda: running.show("activating")["MainPID"] != "0", "activating has a process")
        yield running


class Watch:
    """A collector and its looks at one systemd."""

    def __init__(self, systemd: Systemd) -> None:
        self.systemd = systemd
        self.collector = SystemdCollector()
        self.number = 0

    def look(self) -> tuple[dict[str, Service], Look]:
        look = Look(self.systemd.root, LookOptions(), self.number, {}, time.monotonic(), time.time())
        self.number += 1
        services = self.systemd.inside(lambda: self.collector.collect(look))
        found = {service.id: service for service in services}
        assert len(found) == len(services)
        return found, look

    def until(self, condition) -> dict[str, Service]:
        """Look until condition holds of what is found, as an agent does."""
        found: dict[str, Service] = {}

        def holds() -> bool:
            found.clear()
            found.update(self.look()[0])
            return condition(found)

        wait_for(holds, "the collector sees it")
        return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_view, "ANSWER_TIMEOUT", 60.0)  # the machine may be busy with other tests


@pytest.fixture
def watch(systemd: Systemd) -> Iterator[Watch]:
    watch = Watch(systemd)
    wait_for(lambda: not watch.look()[1].notes, "all units have been read")
    yield watch
    watch.collector.close()


@pytest.mark.parametrize(
    "unit",
    ["run", "helper", "busy", "exit", "killed", "activating", "once", "remains", ESCAPED, "installed", "dbus"],
)
def test_every_field_is_what_systemctl_shows(watch: Watch, unit: str) -> None:
    name = unit if unit.endswith(".service") else f"{unit}.service"
    service = watch.look()[0][name]
    shown = watch.systemd.show(name)
    assert (service.type, service.id, service.name) == ("systemd", name, shown["Id"])
    assert service.status == shown["ActiveState"]
    assert service.sub_status == shown["SubState"]
    assert service.load_state == shown["LoadState"]
    assert service.unit_file_state == (shown["UnitFileState"] or None)
    assert service.description == shown["Description"]
    assert (service.pid or 0) == int(shown["MainPID"])
    assert service.cgroup == (shown["ControlGroup"] or None)
    assert service.result == shown["Result"]
    assert service.restarts == int(shown["NRestarts"])
    assert service.user == (shown["User"] or "root")
    assert service.restart_policy == shown["Restart"]
    assert service.extra is not None
    assert service.extra["fragment_path"] == shown["FragmentPath"]
    assert service.extra.get("drop_in_paths", []) == shown["DropInPaths"].split()
    limits = service.limits
    assert str(limits.memory if limits and limits.memory else "infinity") == shown["MemoryMax"]
    assert str(limits.pids if limits and limits.pids else "infinity") == shown["TasksMax"]
    if shown["ExecMainCode"] == "1":
        assert service.exit_code == int(shown["ExecMainStatus"])
    else:
        assert service.exit_code is None
    if shown["ExecMainStartTimestampMonotonic"] != "0":
        assert service.start_time is not None
        assert service.start_time[:19].replace("T", " ") in shown["ExecMainStartTimestamp"]
    if service.status in {"active", "activating"}:
        started = int(shown["ExecMainStartTimestampMonotonic"]) / 1e6
        assert service.uptime_seconds == pytest.approx(time.monotonic() - started, abs=60)
    else:
        assert service.uptime_seconds is None


def test_what_is_set_in_a_unit(watch: Watch) -> None:
    service = watch.look()[0]["run.service"]
    assert service.environment == {"TOKEN": "abc", "TEXT": "two words=2", "MORE": "1"}
    assert service.command == ["/bin/sleep", "1000000"]
    assert service.links == ["helper.service"]
    assert service.limits is not None
    assert (service.limits.memory, service.limits.cpus, service.limits.pids) == (64 * 2**20, 1.5, 32)
    assert service.user == "daemon"


def test_how_a_run_ended(watch: Watch) -> None:
    found = watch.look()[0]
    assert (found["exit.service"].status, found["exit.service"].exit_code) == ("failed", 3)
    assert found["exit.service"].result == "exit-code"
    killed = found["killed.service"]
    assert (killed.status, killed.exit_code, killed.result) == ("failed", None, "signal")
    assert killed.extra is not None
    assert killed.extra["exit_signal"] == "SIGUSR1"
    assert (found["once.service"].status, found["once.service"].exit_code) == ("inactive", 0)
    assert (found["remains.service"].status, found["remains.service"].sub_status) == ("active", "exited")


def test_which_units_are_services_of_this_host(watch: Watch) -> None:
    found = watch.look()[0]
    shown = watch.systemd.run("systemctl", "list-units", "--all", "--output", "json")
    listed = {unit["unit"]: unit for unit in json.loads(shown)}
    assert listed["gone.service"]["load"] == "not-found"
    assert "gone.service" not in found
    assert "masked.service" not in found
    assert found["bad.mount"].status == "failed"
    assert found["installed.service"].status == "inactive"
    assert found["installed.service"].unit_file_state == "disabled"
    assert "plain@.service" not in found
    assert ESCAPED in found
    running = {name for name, unit in listed.items() if name.endswith(".service") and unit["active"] == "active"}
    assert running == {name for name, service in found.items() if service.status == "active"}


def test_cpu_is_null_in_the_first_look(systemd: Systemd) -> None:
    watch = Watch(systemd)
    found, _ = watch.look()
    watch.collector.close()
    assert all(service.cpu_percent is None for service in found.values())


def test_gauges_are_those_of_the_cgroup(watch: Watch) -> None:
    first = watch.look()[0]["busy.service"]
    second = watch.until(lambda found: (found["busy.service"].cpu_percent or 0) > 0)["busy.service"]
    shown = watch.systemd.show("busy")
    assert first.cpu_seconds is not None
    assert second.cpu_seconds is not None
    assert second.cpu_seconds > first.cpu_seconds
    assert second.tasks == int(shown["TasksCurrent"])
    assert second.memory is not None
    assert 0 < second.memory <= int(shown["MemoryCurrent"]) + 2**20


def test_a_unit_to_which_nothing_happened_is_the_same_row(watch: Watch) -> None:
    watch.look()
    second, third = watch.look()[0], watch.look()[0]
    assert third["exit.service"] is second["exit.service"]
    assert third["installed.service"] is second["installed.service"]


def test_a_restart_between_two_looks_is_seen(watch: Watch) -> None:
    before = watch.look()[0]["run.service"]
    watch.systemd.run("systemctl", "restart", "run")
    after = watch.look()[0]["run.service"]
    assert after.pid != before.pid
    assert after.start_time != before.start_time
    assert after.cpu_percent is None
    assert after.uptime_seconds is not None
    assert after.uptime_seconds < 30


def test_a_service_that_died_and_came_back_by_itself_is_seen(watch: Watch) -> None:
    before = watch.look()[0]["again.service"]
    assert before.restarts is not None
    watch.systemd.run("systemctl", "kill", "--signal", "KILL", "again")
    wait_for(lambda: int(watch.systemd.show("again")["NRestarts"]) > before.restarts, "it is restarted")
    wait_for(lambda: watch.systemd.show("again")["SubState"] == "running", "it runs again")
    after = watch.look()[0]["again.service"]
    assert after.restarts == before.restarts + 1
    assert str(after.pid) == watch.systemd.show("again")["MainPID"]


def test_a_oneshot_that_ran_between_two_looks_is_seen(watch: Watch) -> None:
    before = watch.look()[0]["once.service"]
    watch.systemd.run("systemctl", "start", "once")
    after = watch.look()[0]["once.service"]
    assert (before.status, after.status) == ("inactive", "inactive")
    assert after.start_time is not None
    assert before.start_time is None or after.start_time > before.start_time


def test_enabling_and_masking_are_seen(watch: Watch) -> None:
    assert watch.look()[0]["installed.service"].unit_file_state == "disabled"
    watch.systemd.run("systemctl", "enable", "installed")
    assert watch.look()[0]["installed.service"].unit_file_state == "enabled"
    watch.systemd.run("systemctl", "disable", "installed")
    assert watch.look()[0]["installed.service"].unit_file_state == "disabled"
    watch.systemd.run("systemctl", "mask", "--runtime", "helper")
    assert watch.look()[0]["helper.service"].status == "active"
    watch.systemd.run("systemctl", "unmask", "--runtime", "helper")


def test_a_bus_that_is_lost_and_comes_back(watch: Watch) -> None:
    watch.look()
    before = watch.systemd.show("dbus")["MainPID"]
    watch.systemd.run("systemctl", "kill", "--signal", "KILL", "dbus")
    wait_for(lambda: watch.systemd.show("dbus")["MainPID"] != before, "the bus is gone")
    notes: list[str] = []

    def is_back() -> bool:
        found, look = watch.look()
        notes.extend(look.notes)
        assert found["run.service"].status == "active"
        return not look.stale and not look.notes

    wait_for(is_back, "the collector is connected again")
    assert any(str(watch.systemd.root.run) in note for note in notes)
    watch.systemd.run("systemctl", "stop", "helper")
    assert watch.look()[0]["helper.service"].status == "inactive"
    watch.systemd.run("systemctl", "start", "helper")


def test_a_bus_whose_policy_forbids_the_calls_is_denied(systemd: Systemd) -> None:
    denied = 'send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.systemd1.Manager"'
    policy = f'<policy context="mandatory"><deny {denied}/></policy>'
    file = "/etc/dbus-1/system.d/test.conf"
    reload = ("busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ReloadConfig")
    systemd.run("sh", "-c", f"echo '<busconfig>{policy}</busconfig>' >{file}")
    systemd.run(*reload)
    try:
        with pytest.raises(DeniedError) as raised:
            Watch(systemd).look()
        assert raised.value.hint
    finally:
        systemd.run("rm", file)
        systemd.run(*reload)


def test_a_limit_that_is_set_at_run_time_is_seen_after_a_while(watch: Watch) -> None:
    watch.look()
    watch.systemd.run("systemctl", "set-property", "--runtime", "needs", "MemoryMax=123M")
    found = watch.until(lambda found: found["needs.service"].limits.memory == 123 * 2**20)
    assert found["needs.service"].status == "active"


def test_thousands_of_units_cost_a_few_calls(watch: Watch) -> None:
    watch.systemd.run("systemctl", "start", "many.target")
    wait_for(lambda: not watch.look()[1].notes, "all units have been read")
    before = watch.look()[0]
    calls = []
    for _ in range(5):
        after, look = watch.look()
        calls.append(watch.collector.calls)
        assert look.notes == []
    assert sum(name.startswith("many@") for name in before) == GENERATED
    assert max(calls) <= 3
    assert all(after[name] is before[name] for name in after if after[name].status == "inactive")


def test_units_of_a_users_manager(systemd: Systemd) -> None:
    folder = "/etc/systemd/user"
    systemd.run("sh", "-c", f"printf '[Service]\\nExecStart=/bin/sleep 1000000\\n' >{folder}/mine.service")
    systemd.run("mkdir", "-p", f"{folder}/default.target.wants")
    systemd.run("ln", "-s", "../mine.service", f"{folder}/default.target.wants/mine.service")
    systemd.run("systemctl", "start", "user@1.service")
    code = (
        "import json, sys, time, msgspec\n"
        "from safetytwin.collectors.base import Look, LookOptions\n"
        "from safetytwin.collectors.host_root import HostRoot\n"
        "from safetytwin.collectors.systemd import SystemdCollector\n"
        "top = sys.argv[1]\n"
        "root = HostRoot(proc=top + '/proc', sys=top + '/sys', etc=top + '/etc', run=top + '/run', root=top)\n"
        "collector = SystemdCollector()\n"
        "for number in range(100):\n"
        "    look = Look(root, LookOptions(user_units=True), number, {}, time.monotonic(), time.time())\n"
        "    services = collector.collect(look)\n"
        "    if not any('will be read' in note for note in look.notes):\n"
        "        break\n"
        "print(json.dumps({'services': msgspec.to_builtins(services), 'notes': look.notes}))\n"
    )
    # in the PID namespace too: systemd does not answer peers whose pid it cannot see
    command = ["nsenter", "-t", str(systemd.pid), "-p", "-C", sys.executable, "-c", code, systemd.root.root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout)
    assert answer["notes"] == []
    found = {service["id"]: service for service in answer["services"]}
    mine = found["user/1/mine.service"]
    assert (mine["name"], mine["status"], mine["user"]) == ("mine.service", "active", "daemon")
    assert mine["cgroup"].startswith("/user.slice/user-1.slice/user@1.service/")
    assert found["user@1.service"]["status"] == "active"
