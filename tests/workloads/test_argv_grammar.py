"""Command lines: wrappers, interpreters, titles; and that no argument breaks the reader."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetytwin.workloads.argv_grammar import has_flag, parse, positionals, values_of

PYTHON = "/usr/bin/python3.11"


@pytest.mark.parametrize(
    ("line", "kind", "program"),
    [
        ("nohup env CUDA_VISIBLE_DEVICES=0 nice -n 5 python3 -u -X utf8 -m vllm.entrypoints.api --model x", "module",
         "vllm.entrypoints.api"),
        ("sudo -u ada -E timeout -k 5 100 vllm serve m", "program", "vllm"),
        ("numactl -N 0 --membind=0 llama-server -m x", "program", "llama-server"),
        ("stdbuf -oL -eL ollama serve", "program", "ollama"),
        ("uv run --with vllm vllm serve m", "program", "vllm"),
        ("uv run -m sglang.launch_server", "module", "sglang.launch_server"),
        ("poetry run python -m app", "module", "app"),
        ("conda run -n e --no-capture-output python serve.py", "script", "serve"),
        ("uvx --from mcp-x mcp-server-x@1.0", "package", "mcp-server-x"),
        ("npx -y @modelcontextprotocol/server-github@2025.1", "package", "@modelcontextprotocol/server-github"),
        ("npm exec @scope/pkg --flag", "package", "@scope/pkg"),
        ("node --max-old-space-size=4096 /a/node_modules/@google/gemini-cli/dist/index.js", "script", "index"),
        ("deno run -A npm:@scope/tool@1", "package", "@scope/tool"),
        ("/lib64/ld-linux-x86-64.so.2 --library-path /l /opt/llama-server -m x", "program", "llama-server"),
        ("python3 -um http.server", "module", "http.server"),
        ("python3 /v/lib/python3.11/site-packages/vllm/cli/main.py serve", "module", "vllm.cli.main"),
        ("java -Xmx1g -cp a:b org.pytorch.serve.ModelServer", "java", "org.pytorch.serve.ModelServer"),
        ("bash -c true", "shell", "true"),
        ("sudo", "program", "sudo"),
        ("VLLM::EngineCore", "title", "VLLM::EngineCore"),
    ],
)  # fmt: skip
def test_what_a_command_line_runs(line, kind, program):
    found = parse(line.split(" "))
    assert (found.kind, found.program) == (kind, program)


def test_the_executable_outweighs_argv_0():
    assert parse(["ollama", "-c", "pass"], PYTHON).kind == "code"
    assert parse(["gunicorn: worker [app]"], PYTHON).program == "gunicorn"
    assert parse(["claude"], "/usr/bin/node").kind == "title"
    assert parse(["llama-server -m x.gguf", "600"], "/usr/bin/sleep").kind == "title"


@pytest.mark.parametrize(
    ("code", "imports"),
    [
        ("import vllm", ("vllm",)),
        ("import os, torch.nn; print(1)", ("os", "torch")),
        ("from transformers import pipeline\npipeline()", ("transformers",)),
        ("print('import vllm')", ()),
        ("x = 'from vllm import LLM'", ()),
    ],
)
def test_imports_are_statements_and_not_words(code, imports):
    assert parse(["python3", "-c", code]).imports == imports


def test_flags_and_positionals():
    words = ["serve", "--model", "a", "--model=b", "-m", "c", "--port", "8000", "-ngl", "99", "--verbose", "--", "rest"]
    assert values_of(words, ("--model", "-m")) == ["a", "b", "c"]
    assert values_of(["--model", "--other"], ("--model",)) == []
    assert positionals(words, ("-m",)) == ["serve", "rest"]
    assert has_flag(words, ("--port",))
    assert not has_flag(words, ("--host",))


WORDS = st.lists(
    st.one_of(
        st.sampled_from("env sudo npx uv run -m -c python3 node -- - A=b timeout conda exec npm :: a:b".split()),
        st.text(max_size=20),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(WORDS, st.one_of(st.none(), st.sampled_from([PYTHON, "/usr/bin/node", "/usr/bin/sleep", ""])))
def test_no_command_line_breaks_the_reader(words, exe):
    found = parse(words, exe)
    assert isinstance(found.program, str)
    assert all(isinstance(word, str) for word in found.arguments)
