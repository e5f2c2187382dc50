"""What the unit of an engine says of where its models are: Environment= of systemd.exec(5), without asking systemd."""

import os
import shlex

from safetytwin.collectors.host_root import HostRoot, list_dir, read_text

_FOLDERS = ("usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system", "run/systemd/system")


def environment_of_unit(root: HostRoot, unit: str) -> dict[str, str]:
    """Return the variables that a unit file and its drop-ins set; those of EnvironmentFile= are not read."""
    environment: dict[str, str] = {}
    for folder in _FOLDERS:
        path = os.path.join(root.root, folder, unit)
        for file in (
            path,
            *(os.path.join(f"{path}.d", name) for name in list_dir(f"{path}.d") if name.endswith(".conf")),
        ):
            try:
                environment.update(variables_of(read_text(file)))
            except OSError:
                continue
    return environment


def variables_of(text: str) -> dict[str, str]:
    """Return the variables of a unit file's text; a line that is not well quoted is passed over."""
    variables = {}
    for line in text.replace("\\\n", " ").splitlines():
        key, separator, value = line.partition("=")
        if not separator or key.strip() != "Environment":
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        for word in words:
            name, separator, content = word.partition("=")
            if separator:
                variables[name] = content
    return variables
