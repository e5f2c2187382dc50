"""Services under real supervisors: runit, s6 and supervisord."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parts.systemd import wait_for
from safetytwin.collectors.base import AbsentError, Look, LookOptions
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.init_scripts import InitScriptsCollector
from safetytwin.models.service import Service

SCRIPTS = {
    "runs": "#!/bin/sh\nexec sleep 1000000\n",
    "stopped": "#!/bin/sh\nexec sleep 1000000\n",
    "exits": "#!/bin/sh\nexit 7\n",
}


def collect(root: Path, collector: InitScriptsCollector | None = None) -> dict[str, Service]:
    look = Look(HostRoot.fixture(str(root)), LookOptions(), 0, {}, time.monotonic(), time.time())
    services = (collector or InitScriptsCollector()).collect(look)
    assert look.notes == []
    return {service.id: service for service in services}


def service_folders(scan: Path) -> None:
    for name, script in SCRIPTS.items():
        folder = scan / name
        folder.mkdir(parents=True)
        (folder / "run").write_text(script)
        (folder / "run").chmod(0o755)
    (scan / "stopped" / "down").touch()


@contextmanager
def supervised(scan: Path, program: str) -> Iterator[None]:
    """Run a supervisor for each service folder, and end them with their services."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    service_folders(scan)
    supervisors = [
        subprocess.Popen([program, str(scan / name)], stderr=subprocess.DEVNULL, start_new_session=True)
        for name in SCRIPTS
    ]
    try:
        yield
    finally:
        for supervisor in supervisors:
            supervisor.terminate()
        for supervisor in supervisors:
            supervisor.wait(30)


def until(root: Path, condition: Callable[[dict[str, Service]], bool]) -> dict[str, Service]:
    """Look until condition holds of what is found."""

    def found() -> dict[str, Service] | None:
        try:
            services = collect(root)
        except AbsentError:
            return None
        return services if condition(services) else None

    services = wait_for(found, "the services are as expected")
    assert services is not None
    return services


def are_up(found: dict[str, Service]) -> bool:
    return len(found) == len(SCRIPTS) and found["runs"].pid is not None


def test_runit_says_what_sv_says(tmp_path: Path) -> None:
    scan = tmp_path / "etc/service"
    with supervised(scan, "runsv"):
        found = until(tmp_path, are_up)
        said = subprocess.run(["sv", "status", str(scan / "runs")], capture_output=True, text=True, check=True).stdout
        assert f"(pid {found['runs'].pid})" in said
        runs = found["runs"]
        assert (runs.type, runs.status, runs.sub_status, runs.unit_file_state) == ("runit", "active", "run", "enabled")
        assert runs.uptime_seconds is not None
        assert 0 <= runs.uptime_seconds < 300
        assert (found["stopped"].status, found["stopped"].unit_file_state) == ("inactive", "disabled")
        assert found["stopped"].pid is None
        subprocess.run(["sv", "pause", str(scan / "runs")], check=True, capture_output=True)
        assert until(tmp_path, lambda found: found["runs"].sub_status == "paused")["runs"].status == "active"
        subprocess.run(["sv", "cont", str(scan / "runs")], check=True, capture_output=True)


def test_services_of_a_supervisor_that_is_gone_are_left_out(tmp_path: Path) -> None:
    scan = tmp_path / "etc/service"
    with supervised(scan, "runsv"):
        until(tmp_path, are_up)
    assert (scan / "runs/supervise/status").exists()
    with pytest.raises(AbsentError):
        collect(tmp_path)


def test_s6_says_what_s6_svstat_says(tmp_path: Path) -> None:
    scan = tmp_path / "run/service"
    with supervised(scan, "s6-supervise"):
        found = until(tmp_path, are_up)
        fields = ["s6-svstat", "-o", "pid,up", str(scan / "runs")]
        said = subprocess.run(fields, capture_output=True, text=True, check=True).stdout.split()
        assert said == [str(found["runs"].pid), "true"]
        assert (found["runs"].type, found["runs"].status, found["runs"].sub_status) == ("s6", "active", "up")
        assert (found["stopped"].status, found["stopped"].pid) == ("inactive", None)
        until(tmp_path, lambda found: found["exits"].exit_code == 7)


def test_supervisord_says_what_it_runs(tmp_path: Path) -> None:
    if shutil.which("supervisord") is None:
        pytest.skip("supervisord is not installed")
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "conf").write_text(
        f"[unix_http_server]\nfile={run}/supervisor.sock\n"
        f"[supervisord]\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        "[program:runs]\ncommand=/bin/sleep 1000000\nstartsecs=0\n"
        "[program:exits]\ncommand=/bin/sh -c 'exit 7'\nautorestart=false\nstartsecs=0\n"
        "[program:fails]\ncommand=/nowhere/to/be/found\nstartretries=0\n"
        "[program:stopped]\ncommand=/bin/sleep 1\nautostart=false\n"
        "[program:pair]\ncommand=/bin/sleep 1000000\nnumprocs=2\nprocess_name=%(process_num)d\nstartsecs=0\n"
    )
    daemon = subprocess.Popen(["supervisord", "-n", "-c", str(tmp_path / "conf")], stdout=subprocess.DEVNULL)
    try:
        wait_for((run / "supervisor.sock").exists, "supervisord listens")
        expected = {"runs": "RUNNING", "exits": "EXITED", "fails": "FATAL", "stopped": "STOPPED"}
        found = until(tmp_path, lambda found: all(found[name].sub_status == state for name, state in expected.items()))
        assert {service.type for service in found.values()} == {"supervisord"}
        assert set(found) == {*expected, "pair:0", "pair:1"}
        assert found["runs"].status == "active"
        assert found["runs"].pid is not None
        assert os.path.isdir(f"/proc/{found['runs'].pid}")
        assert (found["exits"].status, found["exits"].exit_code) == ("inactive", 7)
        assert (found["fails"].status, found["fails"].pid) == ("failed", None)
        assert found["stopped"].start_time is None
        assert found["runs"].exit_code is None
    finally:
        daemon.terminate()
        daemon.wait(30)


def test_a_socket_that_a_supervisord_left_behind_is_no_error(tmp_path: Path) -> None:
    import socket

    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run/supervisor.sock"))
    assert collect(tmp_path) == {}


def test_rows_stay_the_same_while_nothing_happens(tmp_path: Path) -> None:
    scan = tmp_path / "etc/service"
    with supervised(scan, "runsv"):
        until(tmp_path, are_up)
        collector = InitScriptsCollector()
        first, second = collect(tmp_path, collector), collect(tmp_path, collector)
        assert second["stopped"] is first["stopped"]
