"""Knows a llamafile by its content: an executable of Cosmopolitan libc that is a zip archive with weights in it."""

import re
from collections.abc import Callable, Iterator
from os.path import basename, join

from safetytwin.models.process import Process
from safetytwin.models.workload import Evidence
from safetytwin.workloads.argv_grammar import Invocation

_MAGIC = b"MZqFpD"
_LOADER = re.compile(r"^\.?ape-[\d.]+(\.elf)?$")
_TAIL = 65536
"""Bytes at the end in which the zip's directory is looked for."""


def llamafile_evidence(
    process: Process, invocation: Invocation, read: Callable[[str, int, int], tuple[bytes, bytes]]
) -> Iterator[Evidence]:
    """Yield what speaks for a llamafile where the APE loader runs a file; read returns a file's beginning and end."""
    if process.exe is None or _LOADER.match(basename(process.exe)) is None:
        return
    path = invocation.path if invocation.path.startswith("/") else join(process.cwd or "/", invocation.path)
    head, tail = read(path, len(_MAGIC), _TAIL)
    if head == _MAGIC and b"PK\x01\x02" in tail and b".gguf" in tail:
        yield Evidence("model_file", path, "an executable zip with a .gguf in it", "engine:llamafile", 5.0)
    elif invocation.program.endswith(".llamafile"):
        yield Evidence("exe", f"/proc/{process.pid}/exe", process.exe, "the loader that runs llamafiles", 1.0)
