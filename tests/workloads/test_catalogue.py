"""The catalogue: valid as shipped, its errors clear, and a user's own file added to it."""

import re
from fnmatch import translate

import pytest

from safetytwin.workloads.catalogue import CatalogueError, Family, load_catalogue


def test_every_family_of_the_shipped_catalogue_is_valid_and_its_patterns_compile():
    catalogue = load_catalogue()
    assert {"ollama", "vllm", "llama.cpp", "sglang", "tgi", "claude-code", "mcp", "qdrant"} <= catalogue.family.keys()
    for family in catalogue.family.values():
        for pattern in (*family.exe, *family.exe_paths, *family.scripts, *family.libraries, *family.images):
            assert re.compile(translate(pattern))


def test_nothing_that_may_be_asked_is_known_to_load_or_generate():
    for family in load_catalogue().family.values():
        for ask in family.asks:
            assert ask.path not in {"/health", "/health_generate", "/props", "/generate"}
            assert "?" not in ask.path


def test_a_users_own_file_adds_and_replaces_tables(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[family.acme]\ntitle = "Acme"\nrole = "server"\nexe = ["acme-llm"]\nruns_on = ["torch"]\n')
    catalogue = load_catalogue(str(own))
    assert catalogue.family["acme"] == Family(title="Acme", role="server", exe=["acme-llm"], runs_on=["torch"])
    assert "vllm" in catalogue.family


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[family.a]\nrole = 'server'\nexe = ['a']", "missing required field `title`"),
        ("[family.a]\ntitle = 'A'\nrole = 'servant'\nexe = ['a']", "Invalid enum value 'servant'"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'\nexes = ['a']", "unknown field `exes`"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'", "[family.a] has nothing it could be known by"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'\nexe = ['a']\nruns_on = ['x']", "runs_on names 'x'"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'\nexe = ['a']\nmodel_flags = ['model']", "a flag begins with -"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'\nexe = ['a']\nunconfirmed = ['x']", "unconfirmed names 'x'"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'\nexe = ['a']\nports = [99999]", "Expected `int` <= 65535"),
        ("[family.a]\ntitle = 'A'\nrole = 'server'\nexe = ['a']\nasks = [{path = 'http://x'}]", "matching regex"),
        ("family", "is not TOML"),
    ],
)
def test_an_error_names_the_file_and_what_is_wrong(tmp_path, text, said):
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(CatalogueError, match=re.escape(said)) as caught:
        load_catalogue(str(own))
    assert str(own) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CatalogueError, match="can't be read: No such file"):
        load_catalogue(str(tmp_path / "none.toml"))
