"""Which unit or container a control group belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.ownership import cgroup_path, owner_of

ID = "3f1e" * 16
POD = "pod1b2c3d4e-1111-2222-3333-444455556666"
POD_SLICE = "kubepods-burstable-pod1b2c3d4e_1111_2222_3333_444455556666.slice"

CASES = {
    # systemd
    "/system.slice/ssh.service": "systemd/ssh.service",
    "/system.slice/system-getty.slice/getty@tty1.service": "systemd/getty@tty1.service",
    r"/system.slice/system-my\x2dapp.slice/my\x2dapp@blue\x2dgreen.service": r"systemd/my\x2dapp@blue\x2dgreen.service",
    "/init.scope": "systemd/init.scope",
    "/user.slice/user-1000.slice/session-2.scope": "systemd/session-2.scope",
    "/user.slice/user-1000.slice/user@1000.service/init.scope": "systemd/user@1000.service",
    "/user.slice/user-1000.slice/user@1000.service": "systemd/user@1000.service",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service": "systemd/user/1000/foo.service",
    r"/user.slice/user-7.slice/user@7.service/app-a\x2db.slice/a\x2db@1.service": r"systemd/user/7/a\x2db@1.service",
    "/system.slice/ollama.service/delegated/worker": "systemd/ollama.service",
    "/system.slice/dbus.socket": "systemd/dbus.socket",
    "/system.slice/_cpu.service": "systemd/cpu.service",
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator": r"systemd/machine-qemu\x2d1\x2dvm.scope",
    # Docker
    f"/system.slice/docker-{ID}.scope": f"docker/{ID}",
    f"/docker/{ID}": f"docker/{ID}",
    f"/docker/{ID}/system.slice/ssh.service": f"docker/{ID}",
    f"/../docker-{ID}.scope": f"docker/{ID}",
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope": f"docker/{ID}",
    f"/ecs/0123456789abcdef/{ID}": f"docker/{ID}",
    f"/my-parent/{ID}": f"container/{ID}",
    # Podman
    f"/machine.slice/libpod-{ID}.scope": f"podman/{ID}",
    f"/machine.slice/libpod-{ID}.scope/container": f"podman/{ID}",
    f"/machine.slice/libpod-conmon-{ID}.scope": f"systemd/libpod-conmon-{ID}.scope",
    f"/libpod_parent/libpod-{ID}": f"podman/{ID}",
    "/libpod_parent/conmon": None,
    f"/libpod_parent/libpod-conmon-{ID}": None,
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": f"podman/{ID}",
    f"/system.slice/web.service/libpod-payload-{ID}": f"podman/{ID}",
    "/system.slice/web.service/runtime": "systemd/web.service",
    # containerd, CRI-O, Kubernetes
    f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/cri-containerd-{ID}.scope": f"containerd/{ID}",
    f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-{ID}.scope": f"cri-o/{ID}",
    f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-conmon-{ID}.scope": f"systemd/crio-conmon-{ID}.scope",
    f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/docker-{ID}.scope": f"docker/{ID}",
    f"/kubepods/burstable/{POD}/{ID}": f"kubernetes/{ID}",
    f"/system.slice/containerd.service/{POD_SLICE}:cri-containerd:{ID}": f"containerd/{ID}",
    f"/system.slice/nerdctl-{ID}.scope": f"containerd/{ID}",
    f"/default/{ID}": f"containerd/{ID}",
    "/system.slice/containerd.service": "systemd/containerd.service",
    # others
    "/lxc/web": "lxc/web",
    "/lxc.payload.web/system.slice/ssh.service": "lxc/web",
    "/lxc.payload/web": "lxc/web",
    "/lxc.monitor.web": None,
    r"/machine.slice/machine-lxc\x2d4242\x2dweb.scope": "lxc/web",
    r"/machine.slice/machine-my\x2dbox.scope/payload/system.slice/ssh.service": "nspawn/my-box",
    r"/machine.slice/systemd-nspawn@my\x2dbox.service/payload": "nspawn/my-box",
    "/garden/99d1a8e4-0000": "garden/99d1a8e4-0000",
    "/system.slice/garden.service/garden/99d1a8e4-0000": "garden/99d1a8e4-0000",
    # nobody's
    "/": None,
    "/process_api/c35d3ecf956508cc1c56bd4c145b1107": None,
    f"/docker/{ID[:-1]}": None,
    "/user.slice": None,
}


@pytest.mark.parametrize("path", CASES)
def test_owner_of_a_unified_hierarchy(path):
    owner = owner_of(f"0::{path}\n")
    assert (owner.key if owner is not None else None) == CASES[path]


def test_docker_with_cgroupfs_on_v1():
    text = f"12:cpuset:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"
    assert owner_of(text) == ("docker", ID)
    assert cgroup_path(text) == f"/docker/{ID}"


def test_a_hybrid_machine_where_the_unified_hierarchy_is_unused():
    text = "9:memory:/system.slice/ssh.service\n1:name=systemd:/system.slice/ssh.service\n0::/\n"
    assert owner_of(text).key == "systemd/ssh.service"
    assert cgroup_path(text) == "/system.slice/ssh.service"


def test_a_container_wins_over_the_unit_that_another_hierarchy_names():
    text = f"9:memory:/docker/{ID}\n1:name=systemd:/system.slice/docker.service\n0::/system.slice/docker.service\n"
    assert owner_of(text).key == f"docker/{ID}"


def test_the_path_is_memorys_before_systemds_before_any():
    assert cgroup_path("3:cpu:/c\n2:name=systemd:/s\n1:cpuset,memory:/m\n0::/\n") == "/m"
    assert cgroup_path("3:cpu:/c\n2:name=systemd:/s\n0::/\n") == "/s"
    assert cgroup_path("3:cpu:/c\n0::/\n") == "/c"
    assert cgroup_path("3:cpu:/\n0::/\n") == "/"
    assert cgroup_path("0::/v2\n1:memory:/m\n") == "/v2"
    assert cgroup_path("") is None


def test_a_removed_group_keeps_its_name():
    text = "0::/system.slice/ssh.service (deleted)\n"
    assert (owner_of(text).key, cgroup_path(text)) == ("systemd/ssh.service", "/system.slice/ssh.service")


@given(st.text(max_size=200))
def test_any_text_is_survived(text):
    for line in (text, f"0::/{text}", f"1:memory:/{text}/{ID}"):
        cgroup_path(line)
        owner = owner_of(line)
        assert owner is None or owner.id
