"""Unit files that the administrator wrote."""

import hashlib
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import FIXTURES, fixture_look
from safetytwin.collectors import unit_files
from safetytwin.collectors.base import AbsentError, Look, LookOptions
from safetytwin.collectors.unit_files import UnitFilesCollector
from safetytwin.collectors.unit_folder import install_state

TREE = "software/unit-files-masked-linked-aliased"


def found_in(name):
    return {file.path: file for file in UnitFilesCollector().collect(fixture_look(name)).unit_files}


def test_links_that_enable_masks_aliases_templates_and_drop_ins():
    found = found_in(TREE)
    etc = "/etc/systemd/system"
    assert {path.removeprefix(f"{etc}/"): file.state for path, file in found.items()} == {
        "also.service": "indirect",
        "app.service": "linked",
        "hidden.service": "masked",
        "hollow.service": "masked",
        "idle.service": "disabled",
        "many@.service": "indirect",
        "once.service": "static",
        "ours.service": "enabled",
        "ssh.service.d/10-files.conf": None,
        "/usr/local/lib/systemd/system/local.timer": "disabled",
    }
    assert found[f"{etc}/app.service"].target == "/opt/app/app.service"
    assert found[f"{etc}/ssh.service.d/10-files.conf"].unit == "ssh.service"
    with open(os.path.join(FIXTURES, TREE, "etc/systemd/system/ours.service"), "rb") as file:
        content = file.read()
    ours = found[f"{etc}/ours.service"]
    assert (ours.size, ours.sha256, ours.content) == (len(content), hashlib.sha256(content).hexdigest(), None)


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemctl")
def test_the_states_are_those_that_systemctl_says():
    tree = os.path.join(FIXTURES, TREE)
    files = [file for file in found_in(TREE).values() if file.state is not None]
    answer = subprocess.run(
        ["systemctl", f"--root={tree}", "is-enabled", *(file.unit for file in files)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.split() == [file.state for file in files]


def test_contents_only_where_asked_for():
    look = Look(fixture_look(TREE).root, LookOptions(unit_file_contents=True), 0, {}, 0.0, 0.0)
    found = {file.unit: file.content for file in UnitFilesCollector().collect(look).unit_files}
    assert found["once.service"] == "[Service]\nExecStart=/bin/true\n"
    assert found["hidden.service"] is None


def test_a_change_is_seen_and_nothing_else_is_read_again(tmp_path, monkeypatch):
    shutil.copytree(os.path.join(FIXTURES, TREE), tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setattr("safetytwin.collectors.file_stamps._SETTLED_NS", 0)
    collector, look = UnitFilesCollector(), fixture_look(str(tmp_path))
    first = collector.collect(look)
    with monkeypatch.context() as patched:
        patched.setattr(unit_files, "read_bytes", None)
        assert collector.collect(look) is first
    folder = tmp_path / "etc/systemd/system"
    (folder / "idle.service").write_text("[Service]\nExecStart=/bin/false\n")
    os.unlink(folder / "multi-user.target.wants/ours.service")
    found = {file.unit: file.state for file in collector.collect(look).unit_files}
    assert (found["idle.service"], found["ours.service"]) == ("static", "disabled")


def test_a_file_that_may_not_be_read_is_listed_and_counted(monkeypatch):
    real = unit_files.read_bytes

    def read(path, limit):
        if path.endswith("ours.service"):
            raise PermissionError(13, "Permission denied")
        return real(path, limit)

    monkeypatch.setattr(unit_files, "read_bytes", read)
    look = fixture_look(TREE)
    found = {file.unit: file for file in UnitFilesCollector().collect(look).unit_files}
    assert (found["ours.service"].sha256, found["ours.service"].size) == (None, None)
    assert (look.notes, look.hint) == (["unit files that may not be read: 1"], "run as root")


def test_a_machine_without_systemd_is_no_fault(tmp_path):
    collector = UnitFilesCollector()
    for _ in range(2):
        with pytest.raises(AbsentError, match="no folder of units"):
            collector.collect(fixture_look(str(tmp_path)))


def test_a_folder_that_is_gone_takes_its_files_along(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, TREE), tmp_path, symlinks=True, dirs_exist_ok=True)
    collector, look = UnitFilesCollector(), fixture_look(str(tmp_path))
    assert collector.collect(look).unit_files
    shutil.rmtree(tmp_path / "etc/systemd")
    shutil.rmtree(tmp_path / "usr/local")
    for _ in range(2):
        with pytest.raises(AbsentError, match="no folder of units"):
            collector.collect(look)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data):
    assert install_state(b"[Install]\n" + data) in {"disabled", "indirect", "static"}
