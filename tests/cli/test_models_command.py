"""safetytwin models: what lies on the machine, as a table and as JSON."""

import json
import os

import msgspec
import pytest

from parts import model_files as made
from safetytwin.models.workload import AiModel


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with a whole model and a broken one; the stores of whoever runs the tests stay out."""
    for name in ("HOME", "OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    made.write_gguf(
        f"{tmp_path}/tiny.gguf",
        name="Tiny",
        facts=[("add_context_length", 4096), ("add_file_type", 15)],
        tensors=[("w", (40, 64))],
    )
    made.write(f"{tmp_path}/zeros.gguf", bytes(5000))
    return str(tmp_path)


def test_the_table_says_what_a_model_is_and_what_is_wrong_with_a_broken_one(safetytwin, folder):
    code, out, err = safetytwin("models", "--directory", folder)
    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("Tiny"))
    for cell in ("2.56 K", "Q4_K_M", "llama", "4096", "gguf", folder[:8]):
        assert cell in line
    assert f"✗ {folder}/zeros.gguf: holds only zeros" in out
    assert "; 1 with a problem" in out


def test_the_json_has_the_models_as_the_state_has_them(safetytwin, folder):
    code, out, err = safetytwin("models", "--json", "--directory", folder)
    assert (code, err) == (0, "")
    said = json.loads(out)
    models = {model.path: model for model in msgspec.convert(said["models"], list[AiModel])}
    model = models[f"{folder}/tiny.gguf"]
    assert (model.name, model.parameters, model.state, model.problem) == ("Tiny", 2560, "at_rest", None)
    assert said["size"] == sum(model.size for model in models.values())
    assert models[f"{folder}/zeros.gguf"].problem == "holds only zeros"


def test_names_can_neither_steer_the_terminal_nor_give_secrets_away(safetytwin, folder):
    made.write_gguf(f"{folder}/a\x1b[31m\n.gguf")
    made.write_gguf(f"{folder}/b.gguf", name="hf_" + "a" * 34)
    made.write(f"{folder}/c\x1b[2J.gguf", b"")
    _, out, _ = safetytwin("models", "--directory", folder)
    assert "\x1b" not in out
    assert "a\\x1b[31m\\n" in out
    for arguments in ((), ("--json",)):
        _, out, _ = safetytwin("models", "--directory", folder, *arguments)
        assert "hf_aaaa" not in out
        assert "[redacted]" in out


def test_a_directory_that_is_none_is_an_error_that_says_so(safetytwin, folder):
    code, out, err = safetytwin("models", "--directory", f"{folder}/tiny.gguf")
    assert (code, out) == (1, "")
    assert err == f"safetytwin models: {folder}/tiny.gguf is no directory; --directory names one that holds models\n"


def test_a_directory_without_models_is_no_error(safetytwin, folder):
    os.mkdir(f"{folder}/empty")
    code, out, err = safetytwin("models", "--json", "--directory", f"{folder}/empty")
    assert (code, err) == (0, "")
    assert not any(model["path"].startswith(folder) for model in json.loads(out)["models"])


def test_the_help_has_examples_and_the_command_is_listed(safetytwin):
    code, out, _ = safetytwin("models", "--help")
    assert code == 0
    assert "safetytwin models --directory /srv/models" in out
    _, out, _ = safetytwin("--help")
    assert "  models " in out
