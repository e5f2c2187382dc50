"""Programs under supervisord, asked over its unix socket. Source: supervisord.org/api.html, xmlrpc.com/spec.md."""

import os
import socket
import time
from typing import Any

from safetytwin.collectors.host_root import HostRoot
from safetytwin.http_answer import AnswerReader
from safetytwin.models.fields import count
from safetytwin.models.service import Service
from safetytwin.models.timestamps import timestamp

SOCKETS = ("supervisor.sock", "supervisor/supervisor.sock", "supervisord.sock", "supervisor/supervisord.sock")
TIMEOUT = 1.0
"""Seconds for the whole answer."""
MAX_DEPTH = 8
_CALL = b"<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>"
_REQUEST = (
    b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_CALL), _CALL)
)
_ACTIVE_STATES = {
    "RUNNING": "active",
    "STARTING": "activating",
    "BACKOFF": "activating",
    "STOPPING": "deactivating",
    "STOPPED": "inactive",
    "EXITED": "inactive",
    "FATAL": "failed",
}


class SupervisordError(Exception):
    """supervisord's answer is an error or makes no sense."""


def supervisord_socket(root: HostRoot) -> str | None:
    """Return the socket of a supervisord, or None where there is none."""
    for name in SOCKETS:
        path = os.path.join(root.run, name)
        if os.path.exists(path):
            return path
    return None


def supervisord_services(path: str) -> list[Service]:
    """Return the programs of the supervisord at a socket; raises OSError or SupervisordError."""
    return services_of_answer(_ask(path))


def _ask(path: str) -> bytes:
    deadline = time.monotonic() + TIMEOUT
    reader = AnswerReader("supervisord", SupervisordError, max_body=16 * 1024 * 1024)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(path)
        connection.sendall(_REQUEST)
        while (answer := reader.answer) is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("no answer in time")
            connection.settimeout(remaining)
            reader.feed(connection.recv(64 * 1024))
    if answer.status == 401:
        raise PermissionError("supervisord asks for a user name and password")
    if answer.status != 200:
        raise SupervisordError(f"HTTP status {answer.status}")
    return answer.body


def services_of_answer(body: bytes) -> list[Service]:
    """Return the programs of an answer to getAllProcessInfo; raises SupervisordError."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - only where a supervisord is

    try:
        response = ET.fromstring(body)  # noqa: S314 - from root's own socket, and expat bounds what entities expand to
    except ET.ParseError as error:
        raise SupervisordError(f"no XML: {error}") from error
    found = response.find("params/param/value")
    programs = _value(found, 0) if found is not None else None
    if not isinstance(programs, list):
        raise SupervisordError("it lists no programs")
    return [_service(program) for program in programs if isinstance(program, dict) and program.get("name")]


def _value(element: Any, depth: int) -> Any:
    """Return an XML-RPC value: texts, numbers, arrays and structs are all that supervisord sends."""
    if depth > MAX_DEPTH:
        raise SupervisordError("values are nested too deep")
    if len(element) == 0:
        return element.text or ""
    kind = element[0]
    if kind.tag == "array":
        return [_value(item, depth + 1) for item in kind.iterfind("data/value")]
    if kind.tag == "struct":
        members = ((member.findtext("name"), member.find("value")) for member in kind.iterfind("member"))
        return {name: _value(value, depth + 1) for name, value in members if name and value is not None}
    text = kind.text or ""
    if kind.tag in {"int", "i4", "boolean"}:
        try:
            return int(text)
        except ValueError:
            return None
    return text


def _service(program: dict[str, Any]) -> Service:
    name, group = str(program["name"]), str(program.get("group") or program["name"])
    full_name = name if group == name else f"{group}:{name}"
    state = str(program.get("statename") or "")
    running = state in {"RUNNING", "STOPPING"}
    start = _number(program, "start")
    ended = state in {"EXITED", "FATAL", "BACKOFF"} and _number(program, "stop")
    return Service(
        type="supervisord",
        id=full_name,
        name=full_name,
        status=_ACTIVE_STATES.get(state),
        sub_status=state or None,
        description=str(program.get("spawnerr") or "") or None,
        pid=_number(program, "pid") or None,
        start_time=timestamp(start) if start and running else None,
        exit_code=_number(program, "exitstatus") if ended else None,
    )


def _number(program: dict[str, Any], name: str) -> int | None:
    value = program.get(name)
    return count(value) if isinstance(value, int) else None
