"""The configuration: file, environment, flags, each stronger than the one before; errors say how to mend them."""

import pytest

from safetytwin.agent.config import AgentConfig, ConfigError, keys, load


def _file(tmp_path, text: str) -> str:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return str(path)


def test_defaults_hold_where_nothing_is_said(tmp_path) -> None:
    found = load(_file(tmp_path, ""), {}, {})
    assert found.config == AgentConfig()
    assert set(found.sources.values()) == {"default"}


def test_flags_beat_the_environment_and_that_the_file(tmp_path) -> None:
    path = _file(tmp_path, 'interval = 5\nbridge = "http://a"\nwithout = ["docker"]')
    environment = {
        "SAFETYTWIN_INTERVAL": "7",
        "SAFETYTWIN_OPEN_FILES": "true",
        "SAFETYTWIN_WITHOUT": "podman, nvidia",
        "HOME": "/",
    }
    found = load(path, environment, {"interval": 9.0, "backend": None})
    assert found.config.interval == 9
    assert found.sources["interval"] == "--interval"
    assert found.config.open_files is True
    assert found.sources["open_files"] == "SAFETYTWIN_OPEN_FILES"
    assert found.config.without == ["podman", "nvidia"]
    assert found.config.bridge == "http://a"
    assert found.sources["bridge"] == path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("intervall = 5", "did you mean 'interval'"),
        ('interval = "ten"', "interval = 'ten'"),
        ("interval = 0", "interval = 0"),
        ("interval = ", "is not TOML"),
        ("zzz = 1", "the keys are"),
        ('backend = "bpf"', "backend"),
    ],
)
def test_a_bad_file_names_itself_the_key_and_the_mend(tmp_path, text: str, says: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load(path, {}, {})
    assert path in str(raised.value)
    assert says in str(raised.value)


def test_a_bad_variable_names_itself(tmp_path) -> None:
    path = _file(tmp_path, "")
    with pytest.raises(ConfigError, match="SAFETYTWIN_INTERVAL: 'x' is not a number"):
        load(path, {"SAFETYTWIN_INTERVAL": "x"}, {})
    with pytest.raises(ConfigError, match="did you mean 'interval'"):
        load(path, {"SAFETYTWIN_INTERVALS": "1"}, {})


def test_a_named_file_must_exist() -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load("/nonexistent/agent.toml", {}, {})


def test_every_key_is_described() -> None:
    assert all(keys().values())


def test_labels_come_from_a_table_from_pairs_or_from_flags(tmp_path) -> None:
    path = _file(tmp_path, '[labels]\nrole = "web"\n"site/room" = "waw 3"')
    assert load(path, {}, {}).config.labels == {"role": "web", "site/room": "waw 3"}
    assert load(path, {"SAFETYTWIN_LABELS": "role=db, rack = 7"}, {}).config.labels == {"role": "db", "rack": "7"}
    found = load(path, {}, {"labels": {"role": "gpu"}})
    assert (found.config.labels, found.sources["labels"]) == ({"role": "gpu"}, "--label")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("web", "NAME=VALUE"),
        ("a b=c", "labels"),
        ("=c", "labels"),
        ("role=" + "x" * 201, "labels"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(_file(tmp_path, ""), {"SAFETYTWIN_LABELS": text}, {})
