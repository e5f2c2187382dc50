"""A compose file of a machine's containers (the Compose Specification); secrets are variables, never values."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from safetytwin.export.compose_names import Names, Variables
from safetytwin.export.facts import containers_of, machine_name
from safetytwin.export.yaml_text import yaml_text
from safetytwin.models.service import Port, Service, Volume
from safetytwin.models.system_state import SystemState

_RESTART = frozenset({"no", "always", "on-failure", "unless-stopped"})
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_DEFAULT_NETWORKS = frozenset({"bridge", "default", "podman"})
_ENGINES_OWN_LABELS = ("com.docker.compose.", "io.podman.compose.")


def compose_text(state: SystemState) -> str:
    """Return the compose file of all containers that were made from an image, running or not."""
    document, variables, left_out = compose_document(state)
    comments = [f"Containers of {machine_name(state)} as they were at {state.timestamp}, by safetytwin export."]
    if variables:
        comments += ["", "Values that were secret are variables; set them in the environment or in a file .env:"]
        comments += [f"  {name}  {meaning}" for name, meaning in variables.items()]
    if left_out:
        comments += ["", "Left out:", *(f"  {line}" for line in left_out)]
    return yaml_text(document, comments)


def compose_document(state: SystemState) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Return the document, its variables with what each is, and what of the containers it could not say."""
    containers = containers_of(state)
    made = _Document(containers)
    services = {made.keys[one.type, one.id]: made.service(one) for one in containers}
    document: dict[str, Any] = {"services": services}
    for name, names in (("networks", made.networks), ("volumes", made.volumes)):
        if names.by_name:
            document[name] = {key: {"name": literal(original)} for original, key in names.by_name.items()}
    return document, made.variables.meanings, made.left_out


def literal(text: str) -> str:
    """Return text in which Compose finds no variable."""
    return text.replace("$", "$$")


class _Document:
    """What the services of one file share: names, variables, volumes, networks."""

    def __init__(self, containers: Sequence[Service]) -> None:
        self.variables = Variables()
        self.networks, self.volumes = Names(), Names()
        self.left_out: list[str] = []
        names = Names()
        self.keys = {(one.type, one.id): names.of(one.name, identity=f"{one.type}/{one.id}") for one in containers}
        self._by_reference = {
            reference: key
            for one, key in ((one, self.keys[one.type, one.id]) for one in containers)
            for reference in (one.name, one.id)
        }

    def service(self, container: Service) -> dict[str, Any]:
        """Return a container as a service."""
        key = self.keys[container.type, container.id]
        made: dict[str, Any] = {"image": literal(container.image or "")}
        if _CONTAINER_NAME.fullmatch(container.name):
            made["container_name"] = container.name
        if container.hostname and not container.id.startswith(container.hostname):
            made["hostname"] = literal(container.hostname)
        if container.command:
            made["command"] = [
                self._hidden(key, f"ARGUMENT_{index}", f"argument {index} of {container.name}", argument)
                for index, argument in enumerate(container.command, 1)
            ]
        if container.user:
            made["user"] = literal(container.user)
        if container.environment:
            made["environment"] = {
                literal(name): self._hidden(key, name, f"{name} of {container.name}", value)
                for name, value in container.environment.items()
            }
        labels = {
            literal(name): self._hidden(key, f"LABEL_{name}", f"label {name} of {container.name}", value)
            for name, value in (container.labels or {}).items()
            if not name.startswith(_ENGINES_OWN_LABELS)
        }
        if labels:
            made["labels"] = labels
        made |= self._ports(container) | self._mounts(container) | self._network(container) | _limits(container)
        if container.restart_policy in _RESTART:
            made["restart"] = container.restart_policy
        return made

    def _hidden(self, key: str, name: str, meaning: str, value: str) -> str:
        """Return a value with a variable in place of what was redacted in it."""
        return self.variables.in_place_of_secrets(value, f"{key}_{name}", meaning, literal)

    def _ports(self, container: Service) -> dict[str, Any]:
        published = [_published(port) for port in container.ports or () if port.host_port]
        exposed = [f"{port.container_port}/{_protocol(port)}" for port in container.ports or () if not port.host_port]
        made: dict[str, Any] = {"ports": published} if published else {}
        return made | ({"expose": list(dict.fromkeys(exposed))} if exposed else {})

    def _mounts(self, container: Service) -> dict[str, Any]:
        mounts = [mount for volume in container.volumes or () if (mount := self._mount(container, volume)) is not None]
        return {"volumes": mounts} if mounts else {}

    def _mount(self, container: Service, volume: Volume) -> dict[str, Any] | None:
        mount: dict[str, Any] = {"type": volume.kind, "target": literal(volume.target)}
        if volume.kind == "bind" and volume.source and volume.source.startswith("/"):
            mount["source"] = literal(volume.source)
        elif volume.kind == "volume":
            if volume.source and not _ANONYMOUS.fullmatch(volume.source):
                mount["source"] = self.volumes.of(volume.source)
        elif volume.kind != "tmpfs":
            self.left_out.append(f"mount {volume.target} of {container.name}: it is of another kind or has no source")
            return None
        if volume.read_only:
            mount["read_only"] = True
        return mount

    def _network(self, container: Service) -> dict[str, Any]:
        names = container.networks or []
        made: dict[str, Any] = {}
        if len(names) == 1 and names[0].startswith("container:"):
            other = self._by_reference.get(names[0].removeprefix("container:"))
            if other is not None:
                return {"network_mode": f"service:{other}"}
            self.left_out.append(f"network of {container.name}: that of a container which is not in this file")
        elif names in (["host"], ["none"]):
            return {"network_mode": names[0]}
        elif names and all(name in _DEFAULT_NETWORKS for name in names):
            made["network_mode"] = "bridge"
        elif any(":" in name or name.startswith("slirp4netns") for name in names):
            self.left_out.append(f"network of {container.name}: {', '.join(names)}")
        elif names:
            made["networks"] = [self.networks.of(name) for name in names]
        links = []
        for link in container.links or ():
            target, _, alias = link.partition(":")
            if target in self._by_reference:
                other = self._by_reference[target]
                links.append(f"{other}:{literal(alias)}" if alias else other)
        return made | ({"links": links} if links else {})


def _published(port: Port) -> str:
    """Return a port in the short syntax: the long one knows no address before Compose 2."""
    ports = f"{port.host_port}:{port.container_port}/{_protocol(port)}"
    try:
        address = ip_address(port.host_ip or "::")
    except ValueError:
        return ports
    if address.is_unspecified:
        return ports  # what is not said means all addresses
    return f"[{address}]:{ports}" if address.version == 6 else f"{address}:{ports}"


def _protocol(port: Port) -> str:
    return port.protocol if port.protocol in {"udp", "sctp"} else "tcp"


def _limits(container: Service) -> dict[str, Any]:
    if container.limits is None:
        return {}
    limits = (
        ("mem_limit", container.limits.memory),
        ("cpus", container.limits.cpus),
        ("pids_limit", container.limits.pids),
    )
    return {name: value for name, value in limits if value}
