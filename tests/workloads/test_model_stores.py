"""What models lie on a machine."""

import hashlib
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts import model_files as made
from safetytwin.collectors.host_root import HostRoot
from safetytwin.workloads import model_stores
from safetytwin.workloads.model_stores import ModelInventory
from safetytwin.workloads.model_stores_ollama import layers_of
from safetytwin.workloads.model_stores_unit import environment_of_unit, variables_of
from safetytwin.workloads.model_stores_walk import Barriers, Walk

OLLAMA = "usr/share/ollama/.ollama/models"
HUB = "home/ada/.cache/huggingface/hub"
LIBRARY = "registry.ollama.ai/library"


@pytest.fixture
def machine(tmp_path):
    """Return the folder of a fixture machine with two users."""
    made.write(
        f"{tmp_path}/etc/passwd",
        b"root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n"
        b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nodd line\nroot2:x:0:0::/:/bin/sh\n",
    )
    return str(tmp_path)


def inventory(machine, *directories, **environment):
    return ModelInventory(HostRoot.fixture(machine), environment, directories)


def look(machine, *directories, **environment):
    return inventory(machine, *directories, **environment).look()


def only(models):
    assert len(models) == 1, models
    return models[0]


def blob_of(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.sha256(file.read()).hexdigest()


def add_to_ollama(machine, tag, layers, *, store=OLLAMA, host_and_namespace=LIBRARY, model="llama3"):
    """Write a manifest whose layers are (kind, digest, size)."""
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:" + "c" * 64},
        "layers": [
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": size}
            for kind, digest, size in layers
        ],
    }
    return made.write(f"{machine}/{store}/manifests/{host_and_namespace}/{model}/{tag}", manifest)


def add_blob(machine, name="Blob", *, store=OLLAMA, **options):
    """Write a GGUF file as a blob; return (digest, size, path)."""
    path = f"{machine}/{store}/blobs/new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    made.write_gguf(path, name=name, **options)
    digest = blob_of(path)
    final = f"{machine}/{store}/blobs/{digest.replace(':', '-')}"
    os.rename(path, final)
    return digest, os.path.getsize(final), final


def test_a_machine_without_stores_has_no_models_and_nothing_to_say(machine):
    found = inventory(machine)
    assert found.look() == []
    assert found.notes == []


def test_ollama_manifests_name_blobs(machine):
    digest, size, path = add_blob(machine, "Meta Llama 3", facts=[("add_context_length", 8192), ("add_file_type", 2)])
    add_to_ollama(machine, "8b", [("model", digest, size), ("template", "sha256:" + "e" * 64, 10)])
    model = only(look(machine))
    assert (model.id, model.path, model.store, model.state) == (path, path, "ollama", "at_rest")
    assert (model.name, model.name_source) == ("llama3:8b", "manifest")
    assert (model.format, model.architecture, model.quantization) == ("gguf", "llama", "Q4_0")
    assert (model.context_length, model.size, model.kind, model.problem) == (8192, size, "model", None)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (LIBRARY, "llama3:8b"),
        ("registry.ollama.ai/ada", "ada/llama3:8b"),
        ("hub.example/ada", "hub.example/ada/llama3:8b"),
    ],
)
def test_ollama_names_leave_out_what_ollama_leaves_out(machine, place, name):
    digest, size, _ = add_blob(machine)
    add_to_ollama(machine, "8b", [("model", digest, size)], host_and_namespace=place)
    assert only(look(machine)).name == name


def test_a_blob_of_several_names_is_counted_once(machine):
    digest, size, _ = add_blob(machine)
    for tag in ("8b", "latest"):
        add_to_ollama(machine, tag, [("model", digest, size)])
    assert only(look(machine)).name == "llama3:8b"


def test_projectors_and_adapters_are_models_of_their_kind(machine):
    layers = []
    for kind in ("model", "projector", "adapter"):
        digest, size, _ = add_blob(machine, kind)
        layers.append((kind, digest, size))
    add_to_ollama(machine, "7b", layers, model="llava")
    assert sorted((model.name, model.kind) for model in look(machine)) == [
        ("llava:7b", "adapter"),
        ("llava:7b", "model"),
        ("llava:7b", "projector"),
    ]


def test_a_missing_a_short_and_a_wrong_blob_are_problems(machine):
    digest, size, path = add_blob(machine)
    os.truncate(path, size - 50)
    wrong = "sha256:" + "b" * 64
    made.write(f"{machine}/{OLLAMA}/blobs/{wrong.replace(':', '-')}", b"no model")
    linked = "sha256:" + "d" * 64
    os.symlink("/etc/passwd", f"{machine}/{OLLAMA}/blobs/{linked.replace(':', '-')}")
    add_to_ollama(
        machine,
        "1",
        [("model", digest, size), ("model", "sha256:" + "a" * 64, 5), ("model", wrong, 8), ("model", linked, 8)],
    )
    problems = {os.path.basename(model.path)[7]: model.problem for model in look(machine)}
    assert problems.pop(digest[7]) == f"wrong length: {size - 50} bytes where its manifest says {size}"
    assert problems == {
        "a": "its blob is missing; ollama pull fetches it",
        "b": "its content is no model",
        "d": "its blob is a link, which is not followed",
    }


def test_a_download_of_ollama_is_seen(machine):
    for ending in ("-partial", "-partial-0", "-partial-1"):
        made.write(f"{machine}/{OLLAMA}/blobs/sha256-{'a' * 64}{ending}", b"123")
    assert only(look(machine)).problem == "downloading"


def test_a_blob_that_no_manifest_names_is_still_there(machine):
    _, _, path = add_blob(machine, "Left Behind")
    made.write(f"{machine}/{OLLAMA}/blobs/sha256-{'c' * 64}", b'{"model_format": "gguf"}')
    model = only(look(machine))
    assert (model.path, model.name, model.name_source) == (path, "Left Behind", "header")


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b'{"layers": 3}',
        b'{"layers": [1, {"mediaType": 2}]}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../etc/passwd"}]}',
        b'{"layers": ' + b"[" * 9999,
        b"\xff\xfe",
    ],
)
def test_a_damaged_manifest_names_nothing(manifest):
    assert layers_of(manifest, "x") == []


@given(st.binary(max_size=200))
def test_no_manifest_does_harm(manifest):
    assert isinstance(layers_of(manifest, "x"), list)


@given(st.text(max_size=200), st.text(max_size=50))
def test_no_unit_file_does_harm(before, value):
    found = variables_of(f"{before}\nEnvironment={value}\n")
    assert all(isinstance(name, str) and isinstance(text, str) for name, text in found.items())


def test_ollama_stores_of_users_and_of_the_environment(machine):
    for number, store in enumerate(
        ("home/ada/.ollama/models", "home/bob/.ollama/models", "root/.ollama/models", "srv/ollama")
    ):
        digest, size, _ = add_blob(machine, f"Blob {number}", store=store)
        add_to_ollama(machine, f"v{number}", [("model", digest, size)], store=store)
    assert sorted(model.name for model in look(machine)) == ["llama3:v0", "llama3:v1", "llama3:v2"]
    found = look(machine, OLLAMA_MODELS="/srv/ollama")
    assert sorted(model.name for model in found) == ["llama3:v0", "llama3:v1", "llama3:v2", "llama3:v3"]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ollama.service", '[Service]\nEnvironment="OLLAMA_MODELS=/srv/of unit"\n', "/srv/of unit"),
        ("ollama.service.d/override.conf", "[Service]\nEnvironment=A=1 OLLAMA_MODELS=/srv/x \\\n B=2\n", "/srv/x"),
        ("ollama.service.d/notes.txt", "Environment=OLLAMA_MODELS=/srv/x", None),
        ("ollama.service", 'Environment="OLLAMA_MODELS=/srv/x', None),
        ("ollama.service", "#Environment=OLLAMA_MODELS=/srv/x", None),
    ],
)
def test_the_unit_of_ollama_says_where_its_store_is(machine, file, text, expected):
    made.write(f"{machine}/etc/systemd/system/{file}", text.encode())
    assert environment_of_unit(HostRoot.fixture(machine), "ollama.service").get("OLLAMA_MODELS") == expected
    if expected is not None:
        digest, size, _ = add_blob(machine, store=expected)
        add_to_ollama(machine, "8b", [("model", digest, size)], store=expected)
        assert only(look(machine)).name == "llama3:8b"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take on another user's rights")
def test_what_may_not_be_looked_into_is_said():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - another user is to pass through
        made.write(f"{folder}/etc/passwd", b"ada:x:1000:1000::/home/ada:/bin/sh\n")
        os.makedirs(f"{folder}/home/ada", mode=0o700)
        found = inventory(folder)
        os.seteuid(65534)
        try:
            assert found.look() == []
        finally:
            os.seteuid(0)
    assert found.notes == ["5 places where models may be can't be looked into; run as root to see them"]


def add_to_hub(machine, repository, files, *, revision="1" * 40, hub=HUB, ref="main"):
    """Write files, given by name and a maker, as a snapshot of links to blobs; return the snapshot."""
    base = f"{machine}/{hub}/models--{repository.replace('/', '--')}"
    snapshot = f"{base}/snapshots/{revision}"
    os.makedirs(f"{base}/blobs", exist_ok=True)
    for name, maker in files.items():
        maker(f"{base}/blobs/new")
        digest = blob_of(f"{base}/blobs/new")[7:]
        os.rename(f"{base}/blobs/new", f"{base}/blobs/{digest}")
        link = f"{snapshot}/{name}"
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(os.path.relpath(f"{base}/blobs/{digest}", os.path.dirname(link)), link)
    if ref:
        made.write(f"{base}/refs/{ref}", revision.encode())
    return snapshot


def config(path):
    made.write(path, {"model_type": "qwen2", "max_position_embeddings": 32768})


def test_hugging_face_snapshots_are_read_through_their_links(machine):
    snapshot = add_to_hub(
        machine, "Qwen/Qwen2-0.5B", {"model.safetensors": made.write_safetensors, "config.json": config}
    )
    model = only(look(machine))
    assert (model.path, model.store) == (f"{snapshot}/model.safetensors", "huggingface")
    assert (model.name, model.name_source) == ("Qwen/Qwen2-0.5B", "path")
    assert (model.architecture, model.context_length, model.parameters, model.problem) == ("qwen2", 32768, 12, None)


def test_a_blob_of_two_revisions_is_counted_once_and_shown_where_main_points(machine):
    files = {"model.safetensors": made.write_safetensors}
    add_to_hub(machine, "org/a", files, revision="0" * 40, ref=None)
    main = add_to_hub(machine, "org/a", files, revision="f" * 40)
    assert only(look(machine)).path.startswith(main)


def test_a_model_in_a_folder_of_the_snapshot_is_found(machine):
    add_to_hub(machine, "org/diffusion", {"unet/model.safetensors": made.write_safetensors})
    assert only(look(machine)).name == "org/diffusion"


def test_a_download_of_hugging_face_is_seen(machine):
    path = made.write(f"{machine}/{HUB}/models--org--a/blobs/{'a' * 64}.incomplete", b"1234")
    model = only(look(machine))
    assert (model.path, model.name, model.size, model.problem) == (path, "org/a", 4, "downloading")
    assert model.format is None


def test_a_link_that_leaves_the_cache_is_not_followed(machine):
    outside = made.write_gguf(f"{machine}/secret.gguf")
    snapshot = add_to_hub(machine, "org/a", {"config.json": config})
    os.symlink(outside, f"{snapshot}/model.gguf")
    os.symlink("../../../../../../../../secret.gguf", f"{snapshot}/other.gguf")
    assert look(machine) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/b", "HF_HOME": "/c"}, "org/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/b", "HF_HOME": "/c"}, "org/b"),
        ({"HF_HOME": "/c"}, "org/c"),
        ({"XDG_CACHE_HOME": "/d"}, "org/d"),
    ],
)
def test_the_variables_of_hugging_face_in_their_order(machine, environment, expected):
    for hub, name in (("a", "org/a"), ("b", "org/b"), ("c/hub", "org/c"), ("d/huggingface/hub", "org/d")):
        add_to_hub(machine, name, {"model.safetensors": made.write_safetensors}, hub=hub)
    assert only(look(machine, **environment)).name == expected


def test_lm_studio_names_by_publisher_and_repository(machine):
    path = f"{machine}/home/bob/.lmstudio/models/lmstudio-community/Qwen2-GGUF/qwen2-q4.gguf"
    os.makedirs(os.path.dirname(path))
    made.write_gguf(path, name="Qwen2")
    model = only(look(machine))
    assert (model.name, model.name_source, model.store) == ("lmstudio-community/Qwen2-GGUF", "path", "lmstudio")


def test_the_cache_of_llama_cpp(machine):
    os.makedirs(f"{machine}/home/ada/.cache/llama.cpp")
    made.write_gguf(f"{machine}/home/ada/.cache/llama.cpp/org_tiny.gguf")
    made.write(f"{machine}/home/ada/.cache/llama.cpp/other.gguf.downloadInProgress", b"GG")
    found = {model.name: (model.store, model.problem) for model in look(machine)}
    assert found == {"org_tiny": ("llama.cpp", None), "other": ("llama.cpp", "downloading")}


def test_a_named_directory_is_walked_and_files_are_named_by_header_file_or_folder(machine):
    os.makedirs(f"{machine}/srv/models/llama-7b")
    made.write_gguf(f"{machine}/srv/models/a.gguf", name="Named")
    made.write_gguf(f"{machine}/srv/models/b.bin")
    made.write_safetensors(f"{machine}/srv/models/llama-7b/model.safetensors")
    made.write_saved_model(f"{machine}/srv/models/resnet")
    found = look(machine, "/srv/models")
    assert [(model.name, model.name_source, model.format) for model in found] == [
        ("Named", "header", "gguf"),
        ("b", "file", "gguf"),
        ("llama-7b", "file", "safetensors"),
        ("resnet", "header", "savedmodel"),
    ]
    assert {model.store for model in found} == {f"{machine}/srv/models"}


def test_a_split_model_is_listed_once(machine):
    os.makedirs(f"{machine}/srv/big")
    for number in range(3):
        facts = [("add_uint16", "split.no", number), ("add_uint16", "split.count", 3)]
        made.write_gguf(
            f"{machine}/srv/big/m-0000{number + 1}-of-00003.gguf", facts=facts, tensors=[(f"t{number}", (32,))]
        )
    model = only(look(machine, "/srv/big"))
    assert (model.path, model.name, model.parameters) == (f"{machine}/srv/big/m-00001-of-00003.gguf", "m", 96)


BROKEN = {
    "zeros.gguf": (bytes(5000), "holds only zeros"),
    "empty.safetensors": (b"", "empty"),
    "text.onnx": (b"Not Found", "named .onnx, but its content is something else"),
    "wrong-length.safetensors": (
        made.safetensors_bytes({"w": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, b"123"),
        "wrong length: ",
    ),
    "pointer.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "only a pointer of Git LFS"),
    "pointer.bin": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "only a pointer of Git LFS"),
    "zip.pt": (b"PK\x05\x06" + bytes(18), None),
    "no-data-pkl.pt": (b"PK\x03\x04" + bytes(80), "a zip without data.pkl: no checkpoint of PyTorch"),
    "zeros.pth": (bytes(100), "holds only zeros"),
    "paths.pth": (b"/usr/lib/python3/dist-packages\n", None),
    "template.pt": (b"<html/>", None),
    "firmware.bin": (b"\x01\x02\x03firmware", None),
    "disc.bin": (bytes(5000), None),
    "notes.txt": (b"llama", None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_not_what_its_name_promises_is_told_and_what_promises_nothing_is_not(machine, name):
    content, problem = BROKEN[name]
    path = made.write(f"{machine}/srv/{name}", content)
    found = look(machine, "/srv")
    if problem is None:
        assert found == []
    else:
        model = only(found)
        assert model.path == path
        assert model.problem.startswith(problem)


def test_a_named_directory_that_is_a_store_is_read_as_one(machine):
    digest, size, _ = add_blob(machine, store="data/ollama")
    add_to_ollama(machine, "8b", [("model", digest, size)], store="data/ollama")
    add_to_hub(machine, "org/a", {"model.safetensors": made.write_safetensors}, hub="data/hub")
    found = look(machine, "/data/ollama", "/data/hub")
    assert sorted((model.name, model.store) for model in found) == [("llama3:8b", "ollama"), ("org/a", "huggingface")]


def test_links_in_a_named_directory_are_not_followed(machine):
    made.write(f"{machine}/srv/keep", b"")
    outside = f"{machine}/outside"
    os.makedirs(outside)
    made.write_gguf(f"{outside}/secret.gguf")
    os.symlink(outside, f"{machine}/srv/folder")
    os.symlink(f"{outside}/secret.gguf", f"{machine}/srv/file.gguf")
    os.symlink(f"{machine}/srv", f"{machine}/srv/circle")
    assert look(machine, "/srv") == []


def test_a_directory_that_is_itself_a_link_is_resolved_once(machine):
    os.makedirs(f"{machine}/disk/models")
    made.write_gguf(f"{machine}/disk/models/a.gguf")
    os.symlink(f"{machine}/disk/models", f"{machine}/models")
    assert only(look(machine, "/models", "/disk/models")).path == f"{machine}/disk/models/a.gguf"


def test_network_file_systems_are_not_entered_and_said_so(machine):
    made.write(
        f"{machine}/proc/self/mountinfo",
        b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 20 0:40 / /srv/nfs rw - nfs4 server:/export rw\n"
        b"31 20 0:41 / /home/ada rw - nfs server:/home/ada rw\n",
    )
    for folder in ("srv/nfs", "srv/local", "home/ada/.ollama/models"):
        os.makedirs(f"{machine}/{folder}")
        made.write_gguf(f"{machine}/{folder}/a.gguf")
    found = inventory(machine, "/srv", "/srv/nfs/x")
    assert only(found.look()).path == f"{machine}/srv/local/a.gguf"
    assert found.notes == [
        f"nothing below {machine}/srv/nfs is looked at: it is on a file system of type nfs4",
        f"nothing below {machine}/home/ada is looked at: it is on a file system of type nfs",
    ]


def test_a_named_directory_that_is_not_there_is_said(machine):
    found = inventory(machine, "/absent")
    assert found.look() == []
    assert found.notes == [f"{machine}/absent can't be looked at: No such file or directory"]


def test_names_that_are_not_utf_8_are_models_too(machine):
    folder = os.path.join(os.fsencode(machine), b"srv")
    os.makedirs(folder)
    made.write_gguf(f"{machine}/srv/a.gguf")
    os.rename(f"{machine}/srv/a.gguf", os.path.join(folder, b"caf\xe9.gguf"))
    model = only(look(machine, "/srv"))
    assert model.name == "caf�"
    model.path.encode("utf-8")


def test_too_many_files_are_left_out_and_said(machine):
    for number in range(20):
        made.write(f"{machine}/srv/{number:02}/x.txt", b"x")
    walk = Walk(Barriers(HostRoot.fixture(machine)), deadline=float("inf"), max_entries=25)
    seen = sum(len(entries) for _, entries in walk.below(f"{machine}/srv", 8))
    assert seen == 25
    assert walk.notes == [f"{machine}/srv/05 and what comes after it are left out: too many files"]


def settled(machine):
    """Let every folder's time of change be long ago, so that the next change shows."""
    for folder, _, _ in os.walk(machine):
        os.utime(folder, (1, 1))


def test_a_look_at_unchanged_stores_reads_no_file_and_returns_the_same_list(machine, monkeypatch):
    digest, size, _ = add_blob(machine)
    add_to_ollama(machine, "8b", [("model", digest, size)])
    add_to_hub(machine, "org/a", {"model.safetensors": made.write_safetensors, "config.json": config})
    settled(machine)
    found = inventory(machine)
    first = found.look()
    opened = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda *arguments, **named: opened.append(arguments[0]) or real(*arguments, **named)
    )
    assert found.look() is first
    assert opened == []


def test_what_appears_changes_and_goes_is_seen_and_the_rest_stays_the_same_object(machine, monkeypatch):
    monkeypatch.setattr(model_stores, "_REST", 0)
    os.makedirs(f"{machine}/srv/a")
    made.write_gguf(f"{machine}/srv/a/one.gguf", name="One")
    settled(machine)
    found = inventory(machine, "/srv")
    (one,) = found.look()
    made.write_gguf(f"{machine}/srv/a/two.gguf", name="Two")
    models = found.look()
    assert [model.name for model in models] == ["One", "Two"]
    assert models[0] is one
    os.unlink(f"{machine}/srv/a/one.gguf")
    assert [model.name for model in found.look()] == ["Two"]


def test_a_download_is_followed_though_its_folder_does_not_change(machine, monkeypatch):
    monkeypatch.setattr(model_stores, "_REST", 0)
    path = made.write(f"{machine}/{HUB}/models--org--a/blobs/{'a' * 64}.incomplete", b"1234")
    settled(machine)
    found = inventory(machine)
    assert only(found.look()).size == 4
    with open(path, "ab") as file:
        file.write(b"5678")
    assert only(found.look()).size == 8


def test_a_walk_for_which_the_time_did_not_last_keeps_what_was_known_and_goes_on(machine, monkeypatch):
    monkeypatch.setattr(model_stores, "_REST", 0)
    os.makedirs(f"{machine}/srv")
    made.write_gguf(f"{machine}/srv/a.gguf")
    found = inventory(machine, "/srv")
    before = found.look()
    made.write(f"{machine}/srv/b.txt", b"")
    found._seconds = -1.0
    assert found.look() == before
    found._seconds = 60.0
    made.write_gguf(f"{machine}/srv/b.gguf")
    assert len(found.look()) == 2


def test_a_store_that_appears_is_found_without_a_restart(machine):
    found = inventory(machine)
    assert found.look() == []
    digest, size, _ = add_blob(machine)
    add_to_ollama(machine, "8b", [("model", digest, size)])
    for _ in range(model_stores._LOOKS_BETWEEN_SEARCHES):
        models = found.look()
    assert only(models).name == "llama3:8b"


def test_a_file_that_changes_in_place_is_seen_by_the_slow_sweep(machine, monkeypatch):
    monkeypatch.setattr(model_stores, "_REST", 0)
    os.makedirs(f"{machine}/srv")
    path = made.write_gguf(f"{machine}/srv/a.gguf")
    settled(machine)
    found = inventory(machine, "/srv")
    found.look()
    os.truncate(path, os.path.getsize(path) - 8)
    problems = [only(found.look()).problem for _ in range(model_stores._LOOKS_BETWEEN_SWEEPS)]
    assert problems[0] is None
    assert problems[-1].startswith("cut short")
