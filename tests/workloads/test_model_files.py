"""Reading the headers of model files."""

import os
import socket
import threading

import gguf
import numpy as np
import pytest
from safetensors import safe_open

from parts import model_files as made
from safetytwin.workloads import model_files
from safetytwin.workloads.model_files import HeaderReader, read_header


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def test_a_model_is_known_by_its_content_whatever_its_name_is(folder):
    path = made.write_gguf(f"{folder}/notes.txt", name="Tiny", facts=[("add_context_length", 4096)])
    header = read_header(path)
    assert (header.format, header.name, header.context_length) == ("gguf", "Tiny", 4096)
    assert header.size == os.path.getsize(path)
    assert header.files == (path,)
    assert header.problem is None


def test_a_name_makes_no_model(folder):
    for name, content in (
        ("a.gguf", bytes(4096)),
        ("b.safetensors", b"text"),
        ("c.pt", b"<html tal:content='x'/>"),
        ("d.bin", b""),
    ):
        assert read_header(made.write(f"{folder}/{name}", content)) is None


def test_a_descriptor_is_read_and_left_open(folder):
    path = made.write_safetensors(f"{folder}/model.safetensors")
    made.write(f"{folder}/config.json", {"model_type": "qwen2"})
    descriptor = os.open(path, os.O_RDONLY)
    try:
        alone, beside = read_header(descriptor), read_header(descriptor, folder)
        os.fstat(descriptor)
    finally:
        os.close(descriptor)
    assert (alone.architecture, beside.architecture) == (None, "qwen2")
    assert beside.files == (path,)


def test_a_descriptor_of_an_unlinked_file_is_read(folder):
    path = made.write_gguf(f"{folder}/a.gguf", name="Gone")
    descriptor = os.open(path, os.O_RDONLY)
    os.unlink(path)
    try:
        assert read_header(descriptor).name == "Gone"
    finally:
        os.close(descriptor)


def test_links_pipes_sockets_and_devices_are_not_read_and_nothing_waits(folder):
    real = made.write_gguf(f"{folder}/real.gguf")
    os.symlink(real, f"{folder}/link.gguf")
    os.mkfifo(f"{folder}/pipe.gguf")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket.gguf")
        found = []
        paths = [f"{folder}/{name}.gguf" for name in ("link", "pipe", "socket", "absent")] + ["/dev/zero", "nul\0byte"]
        reading = threading.Thread(target=lambda: found.extend(map(read_header, paths)), daemon=True)
        reading.start()
        reading.join(60)
        assert found == [None] * len(paths)


def test_the_one_link_that_is_followed_is_that_of_the_hugging_face_cache_to_its_blob(folder):
    blob = made.write(f"{folder}/blobs/" + "0" * 64, b"")
    made.write_safetensors(blob)
    made.write(f"{folder}/snapshots/rev/config.json", {"model_type": "bert"})
    link = f"{folder}/snapshots/rev/model.safetensors"
    os.symlink(f"../../blobs/{'0' * 64}", link)
    header = read_header(link)
    assert (header.format, header.architecture, header.size) == ("safetensors", "bert", os.path.getsize(blob))


def test_a_file_that_did_not_change_is_not_read_again(folder, monkeypatch):
    path = made.write_gguf(f"{folder}/a.gguf", name="Before")
    reads = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: reads.append(arguments) or real(*arguments))
    reader = HeaderReader()
    first = reader.read(path)
    done = len(reads)
    assert reader.read(path) == first
    assert len(reads) == done > 0
    made.write_gguf(path, name="Behind")
    os.utime(path, ns=(1, 1))
    assert reader.read(path).name == "Behind"


def test_a_result_for_which_the_time_did_not_last_is_not_kept(folder, monkeypatch):
    path = made.write_gguf(f"{folder}/a.gguf", name="Slow")
    reader = HeaderReader()
    monkeypatch.setattr(model_files, "_TIME_LIMIT", -1.0)
    assert reader.read(path) is None
    monkeypatch.undo()
    assert reader.read(path).name == "Slow"


def split(folder, count=3):
    """Write a model split as llama.cpp's gguf-split does; return the parts' paths."""
    paths = [f"{folder}/big-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        facts = [("add_uint16", "split.no", number), ("add_uint16", "split.count", count)]
        if number == 0:
            facts.append(("add_context_length", 8192))
        made.write_gguf(
            path, facts=facts, tensors=[(f"t{number}", (2, 32))], **({"name": "Big"} if number == 0 else {})
        )
    return paths


def test_a_split_model_is_one_model_whichever_part_is_asked_for(folder):
    paths = split(folder)
    first, last = read_header(paths[0]), read_header(paths[-1])
    assert first == last
    assert (first.name, first.parameters, first.context_length, first.problem) == ("Big", 3 * 64, 8192, None)
    assert first.size == sum(map(os.path.getsize, paths))
    assert first.files == tuple(paths)


def test_missing_parts_are_named_and_the_number_of_parameters_is_then_unknown(folder):
    paths = split(folder)
    os.unlink(paths[1])
    header = read_header(paths[0])
    assert header.problem == "parts are missing: big-00002-of-00003.gguf"
    assert header.parameters is None
    assert header.size == os.path.getsize(paths[0]) + os.path.getsize(paths[2])


def test_a_part_under_another_name_is_known_to_be_one(folder):
    paths = split(folder)
    os.rename(paths[0], f"{folder}/renamed.gguf")
    header = read_header(f"{folder}/renamed.gguf")
    assert header.problem == "parts are missing: all but part 1 of 3"
    assert header.parameters is None


def test_a_part_read_by_descriptor_alone_says_nothing_of_the_others(folder):
    descriptor = os.open(split(folder)[0], os.O_RDONLY)
    try:
        alone, with_folder = read_header(descriptor), read_header(descriptor, folder)
    finally:
        os.close(descriptor)
    assert (alone.parameters, alone.problem) == (None, None)
    assert with_folder.parameters == 3 * 64


def test_shards_of_safetensors_are_summed(folder):
    shapes = [(2, 5), (3, 7)]
    paths = [f"{folder}/model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for path, shape in zip(paths, shapes, strict=True):
        made.write_safetensors(path, {path[-20:]: np.zeros(shape, np.float32)})
    made.write(f"{folder}/config.json", {"model_type": "llama", "max_position_embeddings": 131072})
    header = read_header(paths[1])
    assert (header.parameters, header.quantization, header.context_length) == (31, "F32", 131072)
    assert header.size == sum(map(os.path.getsize, paths))
    assert read_header(folder) == header


@pytest.mark.parametrize(
    ("quantization", "packed_bits", "shown"),
    [
        ({"quant_method": "gptq", "bits": 4}, 8, "gptq 4-bit"),
        ({"quant_method": "awq", "bits": 8}, 4, "awq 8-bit"),
    ],
)
def test_packed_parameters_are_counted_one_by_one(folder, quantization, packed_bits, shown):
    made.write_safetensors(
        f"{folder}/model.safetensors",
        {
            "layer.qweight": np.zeros((2, 3), np.int32),
            "layer.qzeros": np.zeros((1, 3), np.int32),
            "layer.scales": np.zeros((1, 3), np.float16),
            "norm.weight": np.zeros((5,), np.float16),
        },
    )
    made.write(f"{folder}/config.json", {"architectures": ["LlamaForCausalLM"], "quantization_config": quantization})
    header = read_header(f"{folder}/model.safetensors")
    assert (header.quantization, header.architecture) == (shown, "LlamaForCausalLM")
    assert header.parameters == 6 * packed_bits + 5


@pytest.mark.parametrize(
    ("tensors", "config", "parameters", "shown"),
    [
        (
            {"l.weight": np.zeros((30, 1), np.uint8), "l.weight.absmax": np.zeros(2, np.float32)},
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            60,
            "bitsandbytes 4-bit",
        ),
        (
            {
                "l.weight": np.zeros((3, 2), np.uint32),
                "l.scales": np.zeros(3, np.float16),
                "l.biases": np.zeros(3, np.float16),
            },
            {"quantization": {"group_size": 64, "bits": 4}},
            48,
            "4-bit",
        ),
        (
            {"l.weight_packed": np.zeros((3, 2), np.int32), "l.weight_scale": np.zeros(3, np.float16)},
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"weights": {"num_bits": 8}}},
                }
            },
            24,
            "compressed-tensors 8-bit",
        ),
        (
            {"e.gate_blocks": np.zeros((3, 4), np.uint8), "e.gate_scales": np.zeros(3, np.uint8)},
            {"quantization_config": {"quant_method": "mxfp4"}},
            24,
            "mxfp4 4-bit",
        ),
        ({"l.weight": np.zeros((3, 2), np.int8)}, {"quantization_config": 5}, 6, "I8"),
    ],
)
def test_the_quantisations_of_other_makers(folder, tensors, config, parameters, shown):
    made.write_safetensors(f"{folder}/model.safetensors", tensors)
    made.write(f"{folder}/config.json", config)
    header = read_header(f"{folder}/model.safetensors")
    assert (header.parameters, header.quantization) == (parameters, shown)


def test_shards_of_other_names_are_found_by_the_index(folder):
    for name in ("first.safetensors", "second.safetensors"):
        made.write_safetensors(f"{folder}/{name}", {name: np.zeros((5,), np.float32)})
    index = {"metadata": {"total_size": 40}, "weight_map": {"a": "first.safetensors", "b": "second.safetensors"}}
    made.write(f"{folder}/model.safetensors.index.json", index)
    header = read_header(f"{folder}/second.safetensors")
    assert (header.parameters, header.problem, len(header.files)) == (10, None, 2)
    index["weight_map"]["c"] = "../third.safetensors"
    made.write(f"{folder}/model.safetensors.index.json", index)
    assert read_header(f"{folder}/first.safetensors").problem == "parts are missing: ../third.safetensors"


@pytest.mark.parametrize(
    "index", [b"{}", b"{", b'{"weight_map": 3}', b'{"weight_map": {"a": 4}}', b"[" * 9999, b"\xff"]
)
def test_a_damaged_index_lists_nothing(folder, index):
    made.write_safetensors(f"{folder}/model.safetensors")
    made.write(f"{folder}/model.safetensors.index.json", index)
    assert read_header(f"{folder}/model.safetensors").problem is None


def test_packed_parameters_of_unknown_width_make_the_number_unknown(folder):
    made.write_safetensors(f"{folder}/model.safetensors", {"layer.qweight": np.zeros((2, 3), np.int32)})
    made.write(f"{folder}/config.json", {"model_type": "llama", "quantization_config": {"quant_method": "new"}})
    header = read_header(f"{folder}/model.safetensors")
    assert (header.parameters, header.quantization) == (None, "new")


@pytest.mark.parametrize("config", [b"[" * 100_000, b"{", b'"text"', b'{"model_type": 3, "text_config": 4}', b"\xff"])
def test_a_damaged_config_takes_nothing_from_the_model(folder, config):
    made.write_safetensors(f"{folder}/model.safetensors")
    made.write(f"{folder}/config.json", config)
    header = read_header(f"{folder}/model.safetensors")
    assert (header.parameters, header.architecture, header.problem) == (12, None, None)


def test_a_model_of_text_and_images_has_the_context_of_its_text_part(folder):
    made.write_safetensors(f"{folder}/model.safetensors")
    config = {"model_type": "gemma3", "text_config": {"max_position_embeddings": 32768}}
    made.write(f"{folder}/config.json", config)
    assert read_header(folder).context_length == 32768


def test_an_adapter_is_known_by_its_configuration_and_by_its_tensors(folder):
    made.write_safetensors(f"{folder}/adapter_model.safetensors", {"q.lora_A.weight": np.zeros((2, 2), np.float32)})
    assert read_header(folder).kind == "adapter"
    made.write(f"{folder}/adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "org/base"})
    assert read_header(folder).kind == "adapter"


def test_the_data_that_an_onnx_model_keeps_beside_it_belongs_to_it(folder):
    path = made.write(f"{folder}/model.onnx", made.onnx(made.onnx_tensor((10, 10), location="model.onnx_data")))
    assert read_header(path).problem == "files are missing: model.onnx_data"
    data = made.write(f"{folder}/model.onnx_data", bytes(400))
    header = read_header(path)
    assert (header.parameters, header.problem, header.files) == (100, None, (path, data))
    assert header.size == os.path.getsize(path) + 400


def test_data_outside_of_the_folder_is_not_looked_for(folder):
    made.write(f"{folder}/outside", b"secret")
    path = made.write(f"{folder}/in/model.onnx", made.onnx(made.onnx_tensor((2,), location="../outside")))
    header = read_header(path)
    assert header.problem == "files are missing: ../outside"
    assert header.size == os.path.getsize(path)


def test_a_saved_model_is_its_folder(folder):
    path = made.write_saved_model(f"{folder}/resnet")
    header = read_header(path)
    assert (header.format, header.name, header.problem, len(header.files)) == ("savedmodel", "resnet", None, 3)
    assert header.size == sum(map(os.path.getsize, header.files))
    os.unlink(f"{path}/variables/variables.index")
    assert read_header(path).problem == "parts are missing: variables/variables.index"
    made.write(f"{path}/saved_model.pb", b"text")
    assert "saved_model.pb" in read_header(path).problem


def test_a_folder_without_a_model_is_none(folder):
    assert read_header(folder) is None
    made.write(f"{folder}/model.safetensors", b"text")
    assert read_header(folder) is None


def test_what_the_packages_of_the_formats_say_is_said(folder):
    path = made.write_gguf(
        f"{folder}/a.gguf",
        name="Oracle",
        facts=[("add_context_length", 1234), ("add_file_type", 15), ("add_token_list", [f"t{n}" for n in range(5000)])],
        tensors=[("a", (7, 32)), ("b", (64,)), ("c", (2, 3, 32))],
    )
    oracle = gguf.GGUFReader(path)
    header = read_header(path)
    assert header.parameters == sum(int(tensor.n_elements) for tensor in oracle.tensors)
    assert header.name == oracle.get_field("general.name").contents()
    assert header.architecture == oracle.get_field("general.architecture").contents()
    assert header.context_length == oracle.get_field("llama.context_length").contents()
    assert header.quantization == gguf.LlamaFileType(15).name.removeprefix("MOSTLY_")
    path = made.write_safetensors(
        f"{folder}/b.safetensors", {"x": np.zeros((5, 6), np.float32), "y": np.zeros(7, np.int8)}
    )
    with safe_open(path, "numpy") as oracle:
        expected = sum(oracle.get_tensor(name).size for name in oracle.keys())  # noqa: SIM118 - it is no dict
    assert read_header(path).parameters == expected
