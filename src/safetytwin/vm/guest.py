"""Asking inside a twin, by the QEMU guest agent: no network, no password (QEMU docs, qemu-ga-ref)."""

import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from safetytwin.vm.driver import Driver, DriverError

_TIMEOUT = 10
"""Seconds that the agent has for an answer."""
_PATIENCE = 60.0
"""Seconds that a program in the guest has."""
_PAUSE = 0.05
_LISTED_UNIT = re.compile(r"^(\S+) +(\S+) +(\S+) +(\S+)", re.MULTILINE)
_LISTED_FILE = re.compile(r"^(\S+) +(\S+)", re.MULTILINE)


class GuestError(DriverError):
    """The guest does not answer, or a program in it failed; the text says which."""


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What a guest is now; a unit or container that is not named there is not in it."""

    hostname: str | None = None
    active: dict[str, str] = field(default_factory=dict)
    """ActiveState/SubState of each loaded unit."""
    unit_files: dict[str, str] = field(default_factory=dict)
    """UnitFileState of each unit that has a file."""
    containers: dict[str, str] | None = None
    """State of each container by name; None without an engine."""
    missing: tuple[str, ...] = ()
    """What could not be asked."""


class Guest:
    """The inside of one running twin."""

    def __init__(self, driver: Driver, domain: str) -> None:
        self._driver = driver
        self._domain = domain

    def answers(self) -> bool:
        """Say whether a guest agent runs in it."""
        try:
            self._ask("guest-ping")
        except DriverError:
            return False
        return True

    def run(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Run a program of the guest, never a shell, with a list of arguments; return its exit status and output.

        Raises GuestError where it could not be run or did not end in time.
        """
        program, *rest = arguments
        started = self._ask("guest-exec", {"path": program, "arg": rest, "capture-output": True})
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            status: dict[str, Any] = self._ask("guest-exec-status", {"pid": started["pid"]})
            if status["exited"]:
                output = base64.b64decode(status.get("out-data", "")) + base64.b64decode(status.get("err-data", ""))
                return int(status.get("exitcode", -1)), output.decode("utf-8", "replace")
            time.sleep(_PAUSE)
        raise GuestError(f"{program} did not end within {_PATIENCE:.0f} s in the guest")

    def facts(self) -> GuestFacts:
        """Return what the guest is; what it has no program for is missing, and said."""
        missing: list[str] = []
        units = self._output(missing, "systemctl", "list-units", "--all", "--full", "--plain", "--no-legend")
        files = self._output(missing, "systemctl", "list-unit-files", "--full", "--plain", "--no-legend")
        containers = self._output([], "docker", "ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.State}}")
        return GuestFacts(
            hostname=self._hostname(missing),
            active={unit: f"{active}/{sub}" for unit, _, active, sub in _LISTED_UNIT.findall(units or "")},
            unit_files=dict(_LISTED_FILE.findall(files or "")),
            containers=None if containers is None else dict(_LISTED_FILE.findall(containers)),
            missing=tuple(dict.fromkeys(missing)),
        )

    def _hostname(self, missing: list[str]) -> str | None:
        try:
            name: str = self._ask("guest-get-host-name")["host-name"]
        except GuestError as error:
            missing.append(f"hostname: {error}")
            return None
        return name

    def _output(self, missing: list[str], *arguments: str) -> str | None:
        try:
            code, output = self.run(arguments)
        except GuestError as error:
            missing.append(f"{arguments[0]}: {error}")
            return None
        if code:
            missing.append(f"{arguments[0]}: {output.strip()[:200]}")
            return None
        return output

    def _ask(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        message: dict[str, Any] = {"execute": command}
        if arguments is not None:
            message["arguments"] = arguments
        try:
            return self._driver.ask_guest(self._domain, message, _TIMEOUT)
        except DriverError as error:
            raise GuestError(str(error)) from error
