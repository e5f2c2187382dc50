"""Opening a page in the browser of the person at this machine."""

import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Mapping


def open_browser(url: str) -> bool:
    """Open a URL in the browser of whoever started this command, and say whether there may be one.

    Under sudo that is the user who called it: a browser run by root refuses to start, or endangers the machine.
    """
    if not has_display(os.environ, sys.platform):
        return False
    # Without a terminal, so that no text browser takes over this one.
    environment = {name: value for name, value in os.environ.items() if name != "TERM"}
    user = _invoking_user()
    if user is not None:
        environment |= {
            "HOME": user.pw_dir,
            "USER": user.pw_name,
            "LOGNAME": user.pw_name,
            "XDG_RUNTIME_DIR": f"/run/user/{user.pw_uid}",
        }
    try:
        opener = subprocess.Popen(
            [sys.executable, "-m", "webbrowser", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else os.getgrouplist(user.pw_name, user.pw_gid),
        )
    except OSError:
        return False  # the address is printed: the person can open it
    threading.Thread(target=opener.wait, name="browser", daemon=True).start()
    return True


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Say whether a browser could show itself: a desktop is there, or a browser is named by $BROWSER."""
    if platform in {"darwin", "win32"}:
        return "SSH_CONNECTION" not in environment
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _invoking_user() -> "pwd.struct_passwd | None":
    """Return who called sudo, None where no one did."""
    if os.geteuid() != 0 or not os.environ.get("SUDO_UID", "").isdecimal():
        return None
    try:
        user = pwd.getpwuid(int(os.environ["SUDO_UID"]))
    except (KeyError, OverflowError):
        return None
    return user if user.pw_uid else None
