"""An Ansible inventory that holds all that is known of a machine; the playbook beside it holds nothing of it.

So nothing that a machine calls something can become a task or a template: the playbook is the same for every machine,
and text in the inventory that looks like a template is marked !unsafe. What a name could do in a module's command line
(an option, a path that leads elsewhere) is left out, and said.
"""

import re
from importlib.resources import files
from typing import Any

from safetytwin.export.ansible_items import LeftOut, groups, packages, sysctl, unit_files, units, users
from safetytwin.export.compose import compose_text
from safetytwin.export.facts import containers_of, machine_name, without_gauges
from safetytwin.export.yaml_text import Unsafe, yaml_text
from safetytwin.models.software import Software
from safetytwin.models.system_state import SystemState

_INVENTORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_TEMPLATE_MARKS = ("{{", "{%", "{#")


def ansible_files(state: SystemState) -> dict[str, str]:
    """Return the files by name: inventory.yml, playbook.yml and, where there are containers, compose.yml."""
    playbook = files("safetytwin.export").joinpath("playbook.yml").read_text(encoding="utf-8")
    comments = [
        f"{machine_name(state)} as it was at {state.timestamp}, by safetytwin export. Make another like it with:"
    ]
    comments += ["  ansible-playbook -i inventory.yml playbook.yml --check --diff"]
    made = {"inventory.yml": yaml_text(protected(inventory(state)), comments), "playbook.yml": playbook}
    if containers_of(state):
        made["compose.yml"] = compose_text(state)
    return made


def inventory(state: SystemState) -> dict[str, Any]:
    """Return the inventory: one host, named by its hostname where that is one, with variables twin_*."""
    software = state.software or Software()
    left_out = LeftOut()
    hostname = state.hardware.hostname or ""
    variables = {
        "twin_host_id": state.host_id,
        "twin_observed_at": state.timestamp,
        "twin_hostname": hostname if _INVENTORY_NAME.fullmatch(hostname) else "",
        "twin_facts": _facts(state),
        "twin_packages": packages(software.packages or [], left_out),
        "twin_groups": groups(software.groups or [], left_out),
        "twin_users": users(software.users or [], software.groups or [], left_out),
        "twin_sysctl": sysctl(software.sysctl or [], left_out),
        "twin_unit_files": unit_files(software.unit_files or [], left_out),
        "twin_units": units(state.services, left_out),
        "twin_containers": [
            {"name": one.name, "engine": one.type, "image": one.image, "status": one.status or ""}
            for one in containers_of(state)
        ],
        "twin_left_out": left_out.items,
    }
    name = hostname if _INVENTORY_NAME.fullmatch(hostname) else f"host-{state.host_id}"
    return {"all": {"hosts": {name: variables}}}


def protected(value: Any) -> Any:
    """Return plain JSON with every text marked in which Ansible would see a template."""
    if isinstance(value, str):
        return Unsafe(value) if any(mark in value for mark in _TEMPLATE_MARKS) else value
    if isinstance(value, list):
        return [protected(item) for item in value]
    if isinstance(value, dict):
        return {name: protected(item) for name, item in value.items()}
    return value


def _facts(state: SystemState) -> dict[str, Any]:
    """Return the hardware; only lists and our own names in it, for a name is never marked !unsafe."""
    facts = without_gauges(state.hardware)
    gpus = [without_gauges(gpu) for devices in (state.hardware.gpu or {}).values() for gpu in devices]
    for gpu in gpus:
        gpu.pop("remapped_rows", None)
    facts.pop("gpu", None)
    return facts | ({"gpus": gpus} if gpus else {})
