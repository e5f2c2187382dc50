"""safetytwin export from a file and from a bridge."""

import builtins

import msgspec
import yaml

from parts.hostile_machine import hostile_machine
from parts.small_states import container, state


def written(path, one):
    path.write_bytes(msgspec.json.encode(one))
    return path


def test_a_file_as_each_form(safetytwin, tmp_path):
    source = written(tmp_path / "state.json", hostile_machine())
    code, out, err = safetytwin("export", "--state", source, "--as", "markdown")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "## Containers" in out
    code, out, err = safetytwin("export", "--state", source, "--as", "compose", "--output", tmp_path / "compose.yml")
    assert (code, out, err) == (0, "", "")
    assert len(yaml.safe_load((tmp_path / "compose.yml").read_text())["services"]) == 1
    code, out, err = safetytwin("export", "--state", source, "--as", "ansible", "--output", tmp_path / "twin")
    assert (code, out) == (0, "")
    assert sorted(path.name for path in (tmp_path / "twin").iterdir()) == [
        "compose.yml",
        "inventory.yml",
        "playbook.yml",
    ]


def test_a_machine_of_a_bridge(safetytwin, told):
    code, out, _ = safetytwin("export", "alpha", "--as", "markdown", "--bridge", told.url)
    assert (code, out.splitlines()[0]) == (0, "# alpha")
    assert "| ssh.service | systemd | failed |" in out
    code, out, _ = safetytwin("export", "alpha", "--as", "markdown", "--at", told.before, "--bridge", told.url)
    assert code == 0
    assert "| ssh.service | systemd | failed |" not in out


def test_what_does_not_go_together_is_said(safetytwin, tmp_path):
    source = written(tmp_path / "state.json", state())
    for arguments, said in (
        (("--as", "compose"), "name one machine: HOST, or --state FILE"),
        (("atlas", "--state", source, "--as", "compose"), "name one machine"),
        (("--state", source, "--as", "compose", "--at", "now"), "--at goes with HOST"),
        (("--state", source, "--as", "ansible"), "name a directory with --output"),
    ):
        code, out, err = safetytwin("export", *arguments)
        assert (code, out) == (2, "")
        assert said in err


def test_a_machine_without_containers_has_no_compose_file(safetytwin, tmp_path):
    code, out, err = safetytwin("export", "--state", written(tmp_path / "s.json", state()), "--as", "compose")
    assert (code, out) == (1, "")
    assert "no containers are known of this machine" in err


def test_a_place_that_can_not_be_written_is_said(safetytwin, tmp_path):
    source = written(tmp_path / "s.json", state(services=(container("a", image="i"),)))
    (tmp_path / "file").write_text("")
    for form, said in (("markdown", "can't be written"), ("ansible", "can't be made")):
        code, _, err = safetytwin("export", "--state", source, "--as", form, "--output", tmp_path / "file" / "x")
        assert code == 1
        assert said in err


def test_without_pyyaml_the_error_says_what_to_install(safetytwin, tmp_path, monkeypatch):
    import sys

    source = written(tmp_path / "s.json", state(services=(container("a", image="i"),)))
    real = builtins.__import__

    def without_yaml(name, *arguments):
        if name == "yaml":
            raise ModuleNotFoundError("No module named 'yaml'", name="yaml")
        return real(name, *arguments)

    for module in [name for name in sys.modules if name.startswith("safetytwin.export")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_yaml)
    code, _, err = safetytwin("export", "--state", source, "--as", "compose")
    assert code == 1
    assert "pip install pyyaml" in err
