"""An installation is one machine for ever, and a copied disk can be told apart."""

import os
import stat

import pytest

from safetytwin.agent.identity import IdentityError, host_id, machine_fingerprint, read_identity, reset_identity


def test_it_is_made_once_and_kept(tmp_path) -> None:
    directory = str(tmp_path / "state")
    first = host_id(directory, keep=True)
    assert host_id(directory, keep=True) == first
    assert stat.S_IMODE(os.stat(f"{directory}/identity.json").st_mode) == 0o600
    assert len(first) == 32


def test_two_installations_differ_though_the_machine_is_the_same(tmp_path) -> None:
    assert host_id(str(tmp_path / "a"), keep=True) != host_id(str(tmp_path / "b"), keep=True)


def test_a_reset_makes_a_new_one(tmp_path) -> None:
    directory = str(tmp_path)
    first = host_id(directory, keep=True)
    assert reset_identity(directory).host_id != first
    assert host_id(directory, keep=True) != first


def test_merely_looking_keeps_nothing(tmp_path) -> None:
    directory = str(tmp_path / "state")
    assert host_id(directory, keep=False) == host_id(directory, keep=False)
    assert not os.path.exists(directory)


def test_a_damaged_file_says_how_to_mend_it(tmp_path) -> None:
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(IdentityError, match="--reset-identity"):
        read_identity(str(tmp_path))


def test_the_machine_id_is_never_shown(tmp_path) -> None:
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    fingerprint = machine_fingerprint(str(path))
    assert fingerprint is not None
    assert "0123456789abcdef" not in fingerprint
    path.write_text("")
    assert machine_fingerprint(str(path)) is None
