"""Recognition on real processes: renamed, titled, unlinked, in namespaces of their own, and impostors."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from contextlib import contextmanager

import gguf
import numpy as np
import pytest

from safetytwin.agent.config import AgentConfig
from safetytwin.agent.observer import make_observer

if not sys.platform.startswith("linux"):
    pytest.skip("recognition reads /proc", allow_module_level=True)

PYTHON = os.path.realpath(sys.executable)


@pytest.fixture
def look():
    """Look at this machine with recognition, its processes alone; ask=True asks engines on loopback."""
    observers = []

    def once(*, ask=False):
        from safetytwin.collectors.registry import registrations

        without = [one.name for one in registrations("proc") if one.name != "processes"]
        observer = make_observer(AgentConfig(without=without, ask_engines=ask), "live")
        observers.append(observer)
        return observer.observe()

    yield once
    for observer in observers:
        observer.close()


@contextmanager
def running(argv, **options):
    """Run a program that prints READY once it is what it is to be; it ends with the block."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)
    try:
        line = process.stdout.readline()
        assert line.startswith("READY"), line
        yield process, line.split()[1:]
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()


def of(state, pid):
    return next(process for process in state.processes if process.pid == pid)


def workload_of(state, pid):
    return next((one for one in state.ai.workloads if pid in (one.pid, *(one.workers or ()))), None)


def evidence_for(workload, family):
    return [one for one in workload.evidence if one.family == family and one.weight > 0]


@pytest.fixture
def tiny_gguf(tmp_path):
    """A whole GGUF file, written by the gguf package."""
    path = tmp_path / "weights.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Tiny Llama of a test")
    writer.add_context_length(2048)
    writer.add_tensor("token_embd.weight", np.zeros((32, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


MAPPING = """
import mmap, os, sys, time
file = open(sys.argv[1], "rb")
held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
file.close()
if sys.argv[2] == "unlink":
    os.unlink(sys.argv[1])
print("READY", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("after", ["keep", "unlink"])
def test_a_renamed_program_that_maps_weights_is_known_by_them(look, tmp_path, tiny_gguf, after):
    program = tmp_path / "acme-inferd"
    shutil.copy(PYTHON, program)
    environment = os.environ | {"PYTHONHOME": sys.base_prefix}
    with running([program, "-c", MAPPING, tiny_gguf, after], env=environment) as (process, _):
        state = look()
    workload = workload_of(state, process.pid)
    assert of(state, process.pid).is_llm_related is True
    assert workload.role == "inference"
    assert evidence_for(workload, "model_file")
    model = next(one for one in state.ai.models if one.id == workload.models[0].id)
    if after == "unlink" and os.geteuid() != 0:
        pytest.skip("only root may read a file that is unlinked through /proc/PID/map_files")
    assert (model.name, model.format, model.architecture) == ("Tiny Llama of a test", "gguf", "llama")
    assert model.state == "loaded"
    assert model.used_by == [workload.id]
    assert model.last_seen is not None


@pytest.fixture
def engine(tmp_path):
    """A virtual environment with a package that calls itself vllm and a console script of that name."""
    home = tmp_path / "engine"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", home], check=True)
    packages = home / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "vllm").mkdir()
    (packages / "vllm-0.11.0.dist-info").mkdir()
    (packages / "vllm-0.11.0.dist-info" / "METADATA").write_text("Name: vllm\nVersion: 0.11.0\n")
    body = """
        import json, sys, time
        from http.server import BaseHTTPRequestHandler, HTTPServer

        ASKED = []

        class Engine(BaseHTTPRequestHandler):
            def do_GET(self):
                ASKED.append(self.path)
                answers = {
                    "/v1/models": {"data": [{"id": "served/by-the-engine"}]},
                    "/version": {"version": "0.11.0"},
                    "/asked": ASKED,
                }
                body = json.dumps(answers.get(self.path)).encode()
                self.send_response(200 if self.path in answers else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        def main():
            server = HTTPServer(("127.0.0.1", 0), Engine)
            print("READY", server.server_port, flush=True)
            server.serve_forever()
    """
    (packages / "vllm" / "__init__.py").write_text(textwrap.dedent(body))
    script = home / "bin" / "vllm"
    script.write_text(f"#!{home}/bin/python3\nimport vllm\nvllm.main()\n")
    script.chmod(0o755)
    return script


def test_a_console_script_of_an_engine_is_found_with_its_version_and_model(look, engine):
    with running([engine, "serve", "Qwen/Qwen3-0.6B", "--port", "0"]) as (process, (port,)):
        state = look()
    workload = workload_of(state, process.pid)
    assert (workload.engine, workload.role, workload.engine_version) == ("vllm", "server", "0.11.0")
    assert workload.pid == process.pid
    assert [model.name for model in workload.models] == ["Qwen/Qwen3-0.6B"]
    assert [(one.address, one.port, one.exposed) for one in workload.endpoints] == [("127.0.0.1", int(port), False)]
    assert of(state, process.pid).extra["ai"]["workload"] == workload.id
    assert workload.rss == of(state, process.pid).memory_info.rss


def test_an_engine_is_asked_only_where_that_is_allowed_and_only_what_the_catalogue_names(look, engine):
    import http.client

    with running([engine, "serve", "Qwen/Qwen3-0.6B"]) as (process, (port,)):
        quiet = look()
        asked = look(ask=True)
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        connection.request("GET", "/asked")
        requests = json.loads(connection.getresponse().read())
        connection.close()
    assert not evidence_for(workload_of(quiet, process.pid), "api")
    workload = workload_of(asked, process.pid)
    assert evidence_for(workload, "api")
    assert [(model.name, model.state) for model in workload.models] == [("served/by-the-engine", "serving")]
    assert workload.endpoints[0].authenticated is False
    assert requests[:-1] == ["/v1/models", "/version"]


TITLED = """
import os, sys, time
import setproctitle
if os.fork() == 0:
    setproctitle.setproctitle("VLLM::EngineCore")
    print("READY", os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


def test_a_worker_that_titled_itself_takes_the_model_from_its_parent(look, engine):
    packages = os.path.dirname(os.path.dirname(__import__("setproctitle").__file__))
    engine.write_text(f"#!{engine.parent}/python3\nimport sys\nsys.path.append({packages!r})\n{TITLED}")
    with running([engine, "serve", "Qwen/Qwen3-0.6B"]) as (process, (worker,)):
        state = look()
    workload = workload_of(state, int(worker))
    assert (workload.pid, workload.workers) == (process.pid, [int(worker)])
    assert [model.name for model in workload.models] == ["Qwen/Qwen3-0.6B"]
    assert of(state, int(worker)).extra["ai"]["engine"] == "vllm"
    assert "cmdline" in workload.evidence[0].source


@pytest.mark.root
def test_an_engine_in_a_pid_namespace_of_its_own_is_found_by_its_pid_here(look, engine):
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode:
        pytest.skip("PID namespaces can't be made here")
    with running(["unshare", "--pid", "--fork", engine, "serve", "Qwen/Qwen3-0.6B"]) as (process, _):
        state = look()
    inside = [one for one in state.processes if one.ppid == process.pid]
    workload = workload_of(state, inside[0].pid)
    assert (workload.engine, workload.pid) == ("vllm", inside[0].pid)


@pytest.mark.parametrize(
    ("claim", "program", "arguments"),
    [
        ("llama-server -m x.gguf", "sleep", ["600"]),
        ("ollama", "sleep", ["600"]),
        ("VLLM::EngineCore", "sleep", ["600"]),
        ("vllm serve Qwen/Qwen3-8B", PYTHON, ["-c", "import time; time.sleep(600)"]),
    ],
)
def test_an_impostor_by_exec_a_is_contradicted_by_its_executable(look, claim, program, arguments):
    process = subprocess.Popen([claim, *arguments], executable=shutil.which(program))
    try:
        deadline = time.monotonic() + 30
        while os.path.realpath(f"/proc/{process.pid}/exe") != os.path.realpath(shutil.which(program)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        state = look()
    finally:
        process.kill()
        process.wait()
    assert of(state, process.pid).is_llm_related is False
    assert workload_of(state, process.pid) is None


def test_a_copy_of_sleep_named_as_an_engine_is_none(look, tmp_path):
    copy = tmp_path / "ollama"
    shutil.copy(shutil.which("sleep"), copy)
    process = subprocess.Popen([copy, "600"])
    try:
        state = look()
    finally:
        process.kill()
        process.wait()
    assert of(state, process.pid).is_llm_related is False


def test_what_did_not_change_is_the_identical_record(engine):
    from safetytwin.collectors.registry import registrations

    without = [one.name for one in registrations("proc") if one.name != "processes"]
    observer = make_observer(AgentConfig(without=without), "live")
    with running([engine, "serve", "Qwen/Qwen3-0.6B"]) as (process, _):
        for _ in range(20):
            before, after = observer.observe(), observer.observe()
            if of(before, process.pid) is of(after, process.pid):
                break
        else:
            pytest.fail("a process that rests was made anew in each of 20 looks")
        assert workload_of(before, process.pid).id == workload_of(after, process.pid).id
    observer.close()


@pytest.mark.parametrize(("module", "role"), [("onnxruntime", "ml-other"), ("ctranslate2", "ml")])
def test_a_real_runtime_is_known_by_its_libraries(look, module, role):
    pytest.importorskip(module, reason=f"{module} is not installed")
    code = f"import {module}, time; print('READY', flush=True); time.sleep(600)"
    with running([sys.executable, "-c", code]) as (process, _):
        state = look()
    assert of(state, process.pid).extra["ai"]["role"] == role
    assert of(state, process.pid).is_llm_related is (role == "ml")
