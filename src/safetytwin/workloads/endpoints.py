"""Where a workload answers, and who can reach that: listening sockets, published ports, unix sockets."""

import ipaddress
from collections.abc import Iterable, Sequence

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.workload import Endpoint
from safetytwin.workloads.judgement import Judgement


def endpoints_of(
    members: Sequence[Process], judgements: Iterable[Judgement], service: Service | None
) -> list[Endpoint]:
    """Return where the processes of a workload answer.

    A socket's exposure is that of its address; one of a container, whose sockets are in a network namespace of its own,
    that of the address it is published on.
    """
    told = list(judgements)
    authenticated = next((one.authenticated for one in told if one.authenticated is not None), None)
    found: dict[tuple[object, ...], Endpoint] = {}
    for process in members:
        for one in process.connections or ():
            if one.status == "LISTEN" and one.type == "tcp":
                endpoint = Endpoint(
                    address=one.local_address,
                    port=one.local_port,
                    exposed=is_exposed(one.local_address),
                    authenticated=authenticated,
                )
                found[(endpoint.address, endpoint.port)] = endpoint
    if not found and service is not None:
        for port in service.ports or ():
            if port.protocol not in {None, "tcp"}:
                continue
            published = f"{port.host_ip or '0.0.0.0'}:{port.host_port}" if port.host_port else None  # noqa: S104 - shown
            exposed = is_exposed(port.host_ip or "0.0.0.0") if published else None  # noqa: S104 - what engines mean by none
            found[(port.container_port, published)] = Endpoint(
                port=port.container_port, published=published, exposed=exposed, authenticated=authenticated
            )
    if not found and any(process.connections is None for process in members):
        for verdict in told:
            if verdict.listener.port is not None:
                host = verdict.listener.host
                exposed = is_exposed(host) if host is not None and service is None else None
                found[(host, verdict.listener.port)] = Endpoint(
                    address=host, port=verdict.listener.port, exposed=exposed, authenticated=authenticated
                )
    for verdict in told:
        if verdict.listener.socket is not None:
            found[("unix", verdict.listener.socket)] = Endpoint(
                path=verdict.listener.socket, exposed=False, authenticated=authenticated
            )
    return sorted(found.values(), key=lambda one: (one.path or "", one.port or 0, one.address or ""))


def is_exposed(address: str | None) -> bool | None:
    """Tell whether an address is reached from beyond loopback; None where it is no address."""
    if address is None:
        return None
    if address in {"", "*"}:
        return True
    if address == "localhost":
        return False
    try:
        return not ipaddress.ip_address(address.partition("%")[0].strip("[]")).is_loopback
    except ValueError:
        return None
