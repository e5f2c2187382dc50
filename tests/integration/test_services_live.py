"""The units of docs/service.md under a real systemd: started, reloaded, killed, stopped."""

import json
import re
import sys
from pathlib import Path

import pytest

from parts.systemd import running_systemd, wait_for

PAGE = Path(__file__).parents[2] / "docs" / "service.md"
PROGRAM = f"{sys.executable} -m safetytwin"


def _units():
    """Return the units of the page by name, so changed that they run from where the tests do."""
    blocks = re.findall(r"`/etc/systemd/system/([a-z-]+\.service)`:\n\n```ini\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {name: _for_this_python(text) for name, text in blocks}


def _for_this_python(unit):
    unit = unit.replace("/opt/safetytwin/bin/safetytwin", PROGRAM)
    unit = unit.replace(
        "https://twins.example:5678 --token-file /etc/safetytwin/token", "http://127.0.0.1:5678 --interval 0.5"
    )
    if sys.base_prefix.startswith(("/root/", "/home/")) or sys.prefix.startswith(("/root/", "/home/")):
        # In someone's home, where neither another user nor a service that is kept out of homes gets at it.
        for line in ("User=safetytwin\n", "ProtectHome=yes\n", "CapabilityBoundingSet=\n"):
            unit = unit.replace(line, "")
    return unit


@pytest.fixture
def systemd(tmp_path):
    with running_systemd(tmp_path, _units()) as running:
        seen = running.run("sh", "-c", f"{PROGRAM} --version || echo missing")
        if "missing" in seen:
            pytest.skip("the product is on a file system of its own, which this systemd does not see")
        running.run("useradd", "--system", "--home-dir", "/var/lib/safetytwin-bridge", "safetytwin")
        yield running


def _safetytwin(systemd, *arguments):
    return systemd.run(sys.executable, "-m", "safetytwin", *arguments, check=False)


def _live(systemd):
    said = _safetytwin(systemd, "hosts", "--json")
    return [row for row in json.loads(said)["hosts"] if row["status"] == "live"] if said else []


@pytest.mark.root
@pytest.mark.systemd
@pytest.mark.slow
def test_the_units_of_the_page_start_reload_come_back_and_stop(systemd) -> None:
    assert set(_units()) == {"safetytwin-bridge.service", "safetytwin-agent.service"}
    for unit in _units():
        systemd.run("systemctl", "start", unit)
    (row,) = wait_for(lambda: _live(systemd), "the machine is live")
    state = json.loads(_safetytwin(systemd, "show", row["host_id"], "--json"))
    services = {service["name"]: service for service in state["services"]}
    for unit in _units():
        assert services[unit]["status"] == "active"
    bridge = systemd.show("safetytwin-bridge.service")
    agent = systemd.show("safetytwin-agent.service")
    owners = {process["pid"]: process.get("service") for process in state["processes"]}
    assert owners[int(bridge["MainPID"])] == "systemd/safetytwin-bridge.service"
    assert systemd.run("stat", "-c", "%a", "/var/lib/safetytwin-bridge", "/var/lib/safetytwin") == "700\n700\n"

    systemd.run("systemctl", "reload", "safetytwin-agent.service")
    wait_for(lambda: "configuration was read again" in _said(systemd, "safetytwin-agent"), "the agent is reloaded")
    assert systemd.show("safetytwin-agent.service")["MainPID"] == agent["MainPID"]

    systemd.run("systemctl", "kill", "--signal", "KILL", "safetytwin-bridge.service")
    wait_for(lambda: systemd.show("safetytwin-bridge.service")["NRestarts"] == "1", "the bridge is started again")
    wait_for(lambda: _live(systemd), "it knows the machine still")

    for unit in _units():
        systemd.run("systemctl", "stop", unit)
        stopped = systemd.show(unit)
        assert (stopped["ActiveState"], stopped["Result"], stopped["ExecMainStatus"]) == ("inactive", "success", "0")


def _said(systemd, unit):
    return systemd.run("journalctl", "--no-pager", "--unit", unit)
