"""Which Python environment a process runs from, and which versions are installed in it; nothing is imported."""

import re
from collections.abc import Callable, Iterable, Iterator
from os.path import dirname, join

from safetytwin.models.process import Process
from safetytwin.workloads.argv_grammar import Invocation
from safetytwin.workloads.process_sight import Sight

_DIST_INFO = re.compile(r"^([A-Za-z0-9._]+)-([^-]+)\.(?:dist-info|egg-info)$")
_PYTHON_FOLDER = re.compile(r"^python3\.\d+t?$")


def venv_of(
    invocation: Invocation, process: Process, sight: Sight, listed: Callable[[str], list[str]]
) -> Iterator[str]:
    """Yield the site-packages folders that a process runs from, likeliest first.

    The mapped libraries name it; else the script or argv[0], which lie in an environment's bin, do.
    """
    if sight.site_packages is not None:
        yield sight.site_packages
    seen = set()
    first = process.cmdline[0] if process.cmdline else ""
    for path in (invocation.path, first, process.exe or ""):
        folder = dirname(path)
        if not path.startswith("/") or not folder.endswith("/bin") or folder in seen:
            continue
        seen.add(folder)
        lib = join(dirname(folder), "lib")
        for name in sorted(listed(lib)):
            if _PYTHON_FOLDER.match(name):
                yield join(lib, name, "site-packages")


def version_in(names: Iterable[str], distributions: Iterable[str]) -> tuple[str, str] | None:
    """Return (dist-info's name, version) of the first of the distributions that a folder's names hold, else None."""
    wanted = {_normal(name) for name in distributions}
    for name in names:
        match = _DIST_INFO.match(name)
        if match is not None and _normal(match[1]) in wanted:
            return name, match[2]
    return None


def _normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
