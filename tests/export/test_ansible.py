"""Inventories and the playbook, read by a YAML reader and by Ansible itself."""

import json
import os
import shutil
import subprocess

import pytest
import yaml
from hypothesis import given, settings

from parts.hostile_machine import TEMPLATE, hostile_machine
from parts.small_states import state
from parts.states import states
from safetytwin.export.ansible import ansible_files, inventory
from safetytwin.export.facts import without_gauges

needs_ansible = pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="needs ansible-core (Debian)")


class Reader(yaml.SafeLoader):
    """Reads the tag !unsafe as the text it marks."""


Reader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def run(*command, directory):
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(directory / "local"), "ANSIBLE_NOCOLOR": "1"}
    environment |= {"ANSIBLE_REMOTE_TEMP": str(directory / "remote"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(machine, directory):
    for name, text in ansible_files(machine).items():
        (directory / name).write_text(text, encoding="utf-8")


@settings(max_examples=25)
@given(states())
def test_any_state_gives_an_inventory_that_reads_as_it_was_meant(one):
    assert yaml.load(ansible_files(one)["inventory.yml"], Reader) == inventory(one)  # noqa: S506 - a safe loader


def test_what_could_be_more_than_a_name_is_left_out_and_said():
    (variables,) = inventory(hostile_machine())["all"]["hosts"].values()
    assert [one["id"] for one in variables["twin_packages"]] == ["nginx"]
    assert [one["name"] for one in variables["twin_groups"]] == ["ada", "docker"]
    assert variables["twin_users"] == [
        {
            "name": "ada",
            "uid": 1000,
            "group": "ada",
            "groups": ["docker"],
            "home": "/home/ada",
            "shell": "/bin/sh",
            "locked": True,
            "expires": 1767225600.0,
        }
    ]
    assert variables["twin_sysctl"] == [{"name": "vm.swappiness", "value": "1"}]
    assert [one["path"] for one in variables["twin_unit_files"]] == ["/etc/systemd/system/good.service"]
    assert variables["twin_units"] == [
        {"name": "good.service", "enabled": True, "state": "started"},
        {"name": "stopped.service", "enabled": False, "state": "stopped"},
        {"name": "hidden.service", "masked": True},
    ]
    assert sorted(one["what"] for one in variables["twin_left_out"]) == [
        *("group", "package", "sysctl", "unit", "unit file", "unit file", "unit file", "user")
    ]


def test_facts_are_the_hardware_without_what_is_measured():
    machine = state(processes=(), virtualization="kvm", uptime=5.0)
    (variables,) = inventory(machine)["all"]["hosts"].values()
    assert variables["twin_facts"] == {"hostname": "alpha", "virtualization": "kvm"} == without_gauges(machine.hardware)
    assert list(inventory(machine)["all"]["hosts"]) == ["alpha"]


def test_nothing_of_a_machine_is_in_the_playbook():
    assert ansible_files(hostile_machine())["playbook.yml"] == ansible_files(state())["playbook.yml"]


@needs_ansible
def test_ansible_finds_the_playbook_right_and_the_inventory_the_same(tmp_path):
    machine = hostile_machine()
    written(machine, tmp_path)
    run("ansible-playbook", "-i", "inventory.yml", "playbook.yml", "--syntax-check", directory=tmp_path)
    ((name, variables),) = inventory(machine)["all"]["hosts"].items()
    answer = run("ansible-inventory", "-i", "inventory.yml", "--host", name, directory=tmp_path)
    assert _plain(json.loads(answer)) == variables


@needs_ansible
def test_no_template_in_a_name_is_run_and_every_value_arrives(tmp_path):
    machine = hostile_machine()
    written(machine, tmp_path)
    (tmp_path / "show.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  connection: local\n  tasks:\n"
        "    - ansible.builtin.copy:\n"
        "        dest: '{{ playbook_dir }}/facts.json'\n"
        "        content: '{{ twin_facts | to_json }}'\n"
        "    - ansible.builtin.copy:\n"
        "        dest: '{{ playbook_dir }}/unit'\n"
        "        content: '{{ twin_unit_files[0].content }}'\n"
    )
    run("ansible-playbook", "-i", "inventory.yml", "show.yml", directory=tmp_path)
    (variables,) = inventory(machine)["all"]["hosts"].values()
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts == variables["twin_facts"]
    assert TEMPLATE in facts["cpu"]["model"]
    assert (tmp_path / "unit").read_bytes().decode() == variables["twin_unit_files"][0]["content"]
    assert not os.path.exists("/tmp/pwned")


def _plain(value):
    """Return what ansible-inventory prints without its own wrapping of unsafe text."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"]
            if value.keys() == {"__ansible_unsafe"}
            else {k: _plain(v) for k, v in value.items()}
        )
    return [_plain(one) for one in value] if isinstance(value, list) else value


@needs_ansible
@pytest.mark.root
def test_what_ansible_would_write_is_what_the_machine_has(tmp_path):
    machine = hostile_machine()
    written(machine, tmp_path)
    shown = run(
        *("ansible-playbook", "-i", "inventory.yml", "playbook.yml", "--check", "--diff", "--connection", "local"),
        *("--extra-vars", "ansible_become=false", "--tags", "accounts,sysctl"),
        directory=tmp_path,
    )
    assert "\n+vm.swappiness = 1\n" in shown
    assert "(item=docker)" in shown
    assert "(item=ada)" in shown
    assert "failed=0" in shown
