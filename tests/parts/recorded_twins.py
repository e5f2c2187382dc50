"""Twins that the recorder keeps in libvirt's place, for a bridge to show."""

import subprocess

from safetytwin.vm.recorder import Recorder
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import shape
from safetytwin.vm.twin_records import TwinFiles
from safetytwin.vm.twins import Twins

HOST = Host(8, 16 << 30)


def recorded_twins(folder):
    return Twins(Recorder(), TwinFiles(str(folder / "vm")), HOST)


def stand_in(monkeypatch, twins):
    """Have bridges of this process take these for libvirt's."""
    monkeypatch.setenv("SAFETYTWIN_VM_DIRECTORY", twins.files.directory)
    monkeypatch.setattr("safetytwin.vm.service.LibvirtDriver", lambda uri: twins.driver)
    monkeypatch.setattr("safetytwin.vm.twins.write_seed", lambda path, files: None)


def create(twins, state, folder):
    """Make the twin of a machine, on an empty image."""
    image = folder / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "16M"], check=True)
    twins.create(shape(state, host=HOST), str(image))
