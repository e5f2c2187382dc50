"""maps as the kernel writes them, held against map_files, and any bytes at all."""

import mmap
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetytwin.workloads.mapped_files import parse_maps

MAPS = rb"""55d0c0000000-55d0c0001000 r-xp 00000000 fe:00 11                         /usr/bin/app
00400000-00500000 r--p 00000000 fe:00 15                                 /opt/low address.bin
7f0000000000-7f0000200000 r--s 00000000 fe:00 12                         /m/a b.gguf (deleted)
7f0000200000-7f0000300000 r--s 00200000 fe:00 12                         /m/a b.gguf (deleted)
7f0000400000-7f0000401000 r--p 00000000 fe:00 13                         /lib/x.so
7f0000401000-7f0000402000 r-xp 00001000 fe:00 13                         /lib/x.so
7f0000500000-7f0000501000 rw-s 00000000 00:01 1024                       /memfd:doublemapper (deleted)
7f0000600000-7f0000601000 r--p 00000000 fe:00 14                         /m/new\012line.gguf
7f0000700000-7f0000701000 rw-p 00000000 00:00 0                          [heap]
7f0000800000-7f0000801000 rw-p 00000000 00:00 0
"""


def test_each_file_once_with_what_is_mapped_of_it():
    found = {file.path: file for file in parse_maps(MAPS)}
    assert set(found) == {"/usr/bin/app", "/opt/low address.bin", "/m/a b.gguf", "/lib/x.so", "/m/new\nline.gguf"}
    weights = found["/m/a b.gguf"]
    assert (weights.deleted, weights.executable, weights.size) == (True, False, 0x300000)
    assert weights.link == "7f0000000000-7f0000200000"
    assert found["/opt/low address.bin"].link == "400000-500000"
    assert found["/lib/x.so"].executable


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_file_mapped_here_is_found_and_its_link_is_the_kernels(tmp_path):
    path = tmp_path / "mapped.bin"
    path.write_bytes(bytes(8192))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        with open("/proc/self/maps", "rb") as maps:
            found = {one.path: one for one in parse_maps(maps.read())}
        assert found[str(path)].size == 8192
        assert found[str(path)].link in os.listdir("/proc/self/map_files")


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=400), st.integers(0, len(MAPS)).map(lambda end: MAPS[:end])))
def test_any_bytes(data):
    for file in parse_maps(data):
        assert file.path.startswith("/")
