"""The whole of it on this machine: a real process, a real unit and a real container, in a real browser, now and then.

Each appears on the page by itself, ends, leaves its event, and is there again when the time bar goes back. Screenshots
are kept in test-output/.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager

import pytest

from parts.browser import Watched, chromium
from parts.docker import IMAGE, docker_engine
from parts.systemd import running_systemd

OUTPUT = os.path.join(os.path.dirname(__file__), "..", "..", "test-output")
UNIT = "[Service]\nExecStart=/bin/sleep 3600\n"

pytestmark = [pytest.mark.browser, pytest.mark.engine, pytest.mark.systemd, pytest.mark.root, pytest.mark.slow]


@contextmanager
def _up(tmp_path, **config):
    """Run `safetytwin up` and give the page's address."""
    file = tmp_path / "agent.toml"
    file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items()))
    command = [sys.executable, "-m", "safetytwin", "up", "--no-browser", "--interval", "1", "--config", str(file)]
    command += ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert "http://" in line, line
            yield line.rsplit(" ", 1)[1].strip()
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=60)
    assert running.returncode == 0


def _get(url: str):
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the bridge's own address
        return json.load(answer)


def _wait(condition, what: str, seconds: float = 90.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


def _filter(page, text: str) -> None:
    page.get_by_placeholder("filter").first.fill(text)


@contextmanager
def _started(*command: str):
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def _shoot(page, name: str) -> None:
    os.makedirs(OUTPUT, exist_ok=True)
    page.screenshot(path=os.path.join(OUTPUT, f"live-{name}.png"))


@contextmanager
def _machine(tmp_path):
    """Give a bridge's address and host, with a systemd and a dockerd that its agent looks at."""
    with running_systemd(tmp_path / "systemd", {"st-demo.service": UNIT}) as systemd, docker_engine() as engine:
        bus = f"/proc/{systemd.pid}/root/run/dbus/system_bus_socket"
        with _up(tmp_path, docker_socket=engine.socket, system_bus=bus, cpu_budget_percent=100) as url:
            hosts = _wait(lambda: _get(f"{url}/api/v1/hosts")["hosts"], "the machine's first state")
            yield url, hosts[0]["host_id"], systemd, engine


def test_a_process_a_unit_and_a_container_come_go_and_are_seen_again(tmp_path) -> None:
    with _machine(tmp_path) as (url, host, systemd, engine), chromium() as browser, ExitStack() as stack:
        watched = Watched(browser, url)
        page = watched.open(f"/hosts/{host}/processes")
        page.get_by_text("live").first.wait_for()

        name = "st-demo-process"
        program = tmp_path / name
        shutil.copy("/bin/sleep", program)
        process = stack.enter_context(_started(str(program), "3600"))
        systemd.run("systemctl", "start", "st-demo.service")
        engine.cli("run", "-d", "--name", "st-demo-container", IMAGE, "sleep", "3600")

        _filter(page, name)
        page.get_by_text(name).first.wait_for(timeout=60_000)
        _shoot(page, "process")
        page.goto(f"{url}/hosts/{host}/services")
        _filter(page, "st-demo")
        page.get_by_text("st-demo.service").first.wait_for(timeout=60_000)
        page.goto(f"{url}/hosts/{host}/containers")
        page.get_by_text("st-demo-container").first.wait_for(timeout=60_000)
        _shoot(page, "container")

        def all_there() -> float | None:
            state = _get(f"{url}/api/v1/hosts/{host}")
            there = {one["name"] for one in state["processes"]} | {
                one["name"] for one in state["services"] if one.get("status") in {"active", "running"}
            }
            return time.time() if {name, "st-demo.service", "st-demo-container"} <= there else None

        then = _wait(all_there, "all three in one state")
        time.sleep(2)
        process.kill()
        process.wait()
        systemd.run("systemctl", "stop", "st-demo.service")
        engine.cli("kill", "st-demo-container")

        kinds = {"process.exited", "unit.stopped", "container.died"}

        def told() -> bool:
            events = _get(f"{url}/api/v1/hosts/{host}/events?limit=500")["events"]
            ours = {one["kind"] for one in events if "st-demo" in one["text"]}
            return ours >= kinds

        _wait(told, f"the events {kinds}")
        page.goto(f"{url}/hosts/{host}/events")
        page.get_by_text("st-demo-container died").first.wait_for(timeout=60_000)
        _shoot(page, "events")

        page.goto(f"{url}/hosts/{host}/processes?at={then:.3f}")
        _filter(page, name)
        page.get_by_text(name).first.wait_for(timeout=60_000)
        page.get_by_text("as it was on").first.wait_for()
        _shoot(page, "back-then")
        page.goto(f"{url}/hosts/{host}/containers?at={then:.3f}")
        page.get_by_text("st-demo-container").first.wait_for()
        page.get_by_text("running").first.wait_for()
        assert watched.nothing_went_wrong() == []
        watched.close()
