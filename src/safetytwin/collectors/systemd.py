"""Services that systemd runs, over D-Bus; users' managers too where asked for.

What is listed: every loaded .service, every service that is installed and could be enabled though it isn't loaded
(inactive), and failed units of any type. What is left out: names that others refer to but are not found, masked units
(unless they run or failed), templates (their instances are listed), unit files that cannot be enabled by themselves.
"""

import os
from typing import TYPE_CHECKING

from safetytwin.collectors.base import AbsentError, DeniedError, Look
from safetytwin.collectors.cgroups import CgroupReader
from safetytwin.collectors.host_root import list_dir
from safetytwin.collectors.users import Users
from safetytwin.models.service import Service

if TYPE_CHECKING:
    from safetytwin.collectors.systemd_view import ManagerView

HINT = "run the agent as root"


class SystemdCollector:
    """Looks at the system manager and, where asked for, at the users' managers."""

    def __init__(self) -> None:
        self._cgroups: CgroupReader | None = None
        self._system: ManagerView | None = None
        self._users: dict[int, ManagerView] = {}

    @property
    def calls(self) -> int:
        """D-Bus calls of the last look."""
        views = [self._system] if self._system else []
        return sum(view.calls for view in [*views, *self._users.values()])

    def collect(self, look: Look) -> list[Service]:
        """Return the units as services.

        Raises AbsentError where systemd or its bus isn't there, DeniedError where the bus refuses us, OSError or
        DBusError where it fails before it has ever answered.
        """
        services = self._system_services(look)
        if look.options.user_units:
            services = services + self._user_services(look)
        return services

    def close(self) -> None:
        """Close the connections."""
        for view in [self._system, *self._users.values()]:
            if view is not None:
                view.close()

    def _system_services(self, look: Look) -> list[Service]:
        # As sd_booted(3) tells it; a bus that was named may be that of a systemd elsewhere.
        if look.options.system_bus is None and not os.path.isdir(os.path.join(look.root.run, "systemd/system")):
            raise AbsentError("systemd does not run here")
        if self._system is None:
            bus = look.options.system_bus or os.path.join(look.root.run, "dbus/system_bus_socket")
            self._system = self._view(look, bus, None)
        try:
            return self._system.services(look)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AbsentError(f"no system bus at {self._system.socket}: {error.strerror}") from error
        except PermissionError as error:
            raise DeniedError(f"the system bus at {self._system.socket} may not be used: {error}", HINT) from error

    def _user_services(self, look: Look) -> list[Service]:
        """Return the units of users' managers, asked at their own sockets: a user's bus lets only that user in."""
        folder = os.path.join(look.root.run, "user")
        users = [name for name in list_dir(folder) if name.isdigit()]
        present = {int(name): os.path.join(folder, name, "systemd/private") for name in users}
        for uid in self._users.keys() - present.keys():
            self._users.pop(uid).close()
        services: list[Service] = []
        for uid, socket in sorted(present.items()):
            if uid not in self._users:
                self._users[uid] = self._view(look, socket, uid)
            try:
                services += self._users[uid].services(look)
            except FileNotFoundError:
                continue  # logged in without a manager
            except Exception as error:
                look.notes.append(f"the units of user {uid} cannot be seen: {error}")
                look.hint = HINT
        return services

    def _view(self, look: Look, socket: str, uid: int | None) -> "ManagerView":
        from safetytwin.collectors.systemd_units import Scope  # noqa: PLC0415 - see below
        from safetytwin.collectors.systemd_view import ManagerView  # noqa: PLC0415 - no D-Bus where there is none

        if self._cgroups is None:
            self._cgroups = CgroupReader(look.root)
        users = Users(look.root.etc)
        users.refresh()
        owner = users.name_of(uid) or "root"
        return ManagerView(socket, Scope(uid, owner), self._cgroups)
