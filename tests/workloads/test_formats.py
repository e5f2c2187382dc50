"""What each format's reader says of whole and of damaged files."""

import struct

import gguf as gguf_package
import pytest

from parts import model_files as made
from safetytwin.workloads.formats import detect
from safetytwin.workloads.formats.ggml_types import FILE_TYPES, TENSOR_TYPES
from safetytwin.workloads.formats.source import HeaderSource


def parsed(data):
    """Return the Part that bytes are read as."""
    return detect.parse(HeaderSource.of_bytes(data))


def header(data):
    """Return the header that bytes are read as, with the number of its elements as parameters where it has them."""
    part = parsed(data)
    return None if part is None else part.header


def content(path):
    with open(path, "rb") as file:
        return file.read()


def test_the_tables_of_ggml_are_those_of_its_package():
    sizes = {int(kind): (kind.name, *gguf_package.GGML_QUANT_SIZES[kind]) for kind in gguf_package.GGML_QUANT_SIZES}
    assert dict(TENSOR_TYPES) == sizes
    names = {int(kind): kind.name.split("_", 1)[1] for kind in gguf_package.LlamaFileType if kind.name != "GUESSED"}
    assert dict(FILE_TYPES) == names


@pytest.mark.parametrize("big_endian", [False, True])
def test_gguf_in_both_byte_orders(tmp_path, big_endian):
    facts = [("add_context_length", 4096), ("add_file_type", 7), ("add_token_list", ["a", "bc"])]
    data = content(made.write_gguf(str(tmp_path / "a"), big_endian=big_endian, name="Änne", facts=facts))
    found = header(data)
    assert (found.architecture, found.name, found.context_length) == ("llama", "Änne", 4096)
    assert (found.parameters, found.quantization, found.kind, found.problem) == (256, "Q8_0", "model", None)


def test_gguf_of_version_1():
    found = header(made.gguf_v1())
    assert (found.architecture, found.name, found.context_length) == ("llama", "Old", 2048)
    assert (found.parameters, found.quantization, found.problem) == (32, "F32", None)


def test_gguf_of_version_2_is_read_as_version_3(tmp_path):
    data = content(made.write_gguf(str(tmp_path / "a")))
    assert header(data[:4] + struct.pack("<I", 2) + data[8:]).parameters == 256


def test_gguf_of_a_version_to_come_is_a_problem_and_no_guess():
    assert header(b"GGUF" + struct.pack("<I", 9) + bytes(64)).problem == "GGUF version 9 is not known (1 to 3 are)"


def test_gguf_says_how_much_is_missing_of_a_file_cut_short(tmp_path):
    data = content(made.write_gguf(str(tmp_path / "a")))
    found = header(data[:-100])
    assert found.problem == f"cut short: {len(data) - 100} of {len(data)} bytes are there"
    assert found.parameters == 256


@pytest.mark.parametrize(
    ("architecture", "strings", "facts", "kind"),
    [
        ("llama", {}, [], "model"),
        ("clip", {}, [("add_bool", "clip.has_vision_encoder", True)], "projector"),
        ("clip", {"type": "mmproj"}, [], "projector"),
        ("llama", {"type": "adapter"}, [("add_string", "adapter.type", "lora")], "adapter"),
        ("llama", {}, [("add_string", "adapter.type", "lora")], "adapter"),
    ],
)
def test_gguf_tells_projectors_and_adapters_from_models(tmp_path, architecture, strings, facts, kind):
    path = made.write_gguf(str(tmp_path / "a"), architecture=architecture, facts=facts, **strings)
    assert header(content(path)).kind == kind


def test_gguf_without_tensors_is_a_tokenizer(tmp_path):
    found = header(content(made.write_gguf(str(tmp_path / "a"), tensors=())))
    assert (found.kind, found.parameters, found.quantization, found.problem) == ("tokenizer", None, None, None)


def test_gguf_with_an_importance_matrix_is_no_model(tmp_path):
    assert parsed(content(made.write_gguf(str(tmp_path / "a"), type="imatrix"))) is None


def gguf_head(tensors=0, keys=0, rest=b""):
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + rest


def key(name, kind, value):
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (gguf_head(keys=65_537), "claims 65537 keys; at most 65536 are read"),
        (gguf_head(tensors=1_000_001), "claims 1000001 tensors; at most 1000000 are read"),
        (
            gguf_head(keys=1, rest=struct.pack("<Q", 2**63)),
            "a key of 9223372036854775808 bytes; at most 65535 are allowed",
        ),
        (
            gguf_head(keys=1, rest=key(b"k", 8, struct.pack("<Q", 2**63))),
            "cut short: its header runs past the end of the file",
        ),
        (gguf_head(keys=1, rest=key(b"k", 99, b"")), "a value of type 99, which GGUF does not have"),
        (
            gguf_head(keys=1, rest=key(b"k", 9, struct.pack("<IQ", 8, 2**60))),
            "cut short: an array is longer than the file",
        ),
        (
            gguf_head(keys=1, rest=key(b"k", 9, struct.pack("<IQ", 9, 2**60))),
            f"an array of {2**60} arrays; at most 65536 are read",
        ),
        (gguf_head(keys=1, rest=key(b"k", 9, struct.pack("<IQ", 9, 1) * 9)), "arrays too deep in arrays"),
        (gguf_head(keys=1, rest=key(b"general.alignment", 4, bytes(4))), "its alignment of 0 is no alignment"),
        (
            gguf_head(keys=2, rest=key(b"split.count", 2, b"\2\0") + key(b"split.no", 2, b"\5\0")),
            "claims to be part 6 of 2",
        ),
        (gguf_head(tensors=1, rest=struct.pack("<QI", 0, 9)), "a tensor of 9 dimensions; at most 8 are read"),
        (b"GGUF", "cut short: its header runs past its end at byte 4"),
    ],
)
def test_gguf_that_lies_is_told_what_about(data, problem):
    found = header(data)
    assert (found.format, found.problem) == ("gguf", problem)


def test_legacy_ggml_models_are_known_and_sessions_are_none():
    whisper = header(made.whisper_ggml(file_type=2008))
    assert (whisper.format, whisper.architecture, whisper.quantization) == ("ggml", "whisper", "Q5_0")
    llama = header(made.llama_ggml())
    assert (llama.architecture, llama.quantization) == ("llama", "Q4_0")
    assert header(made.llama_ggml(b"fmgg", 1, 1)).quantization == "F16"
    assert header(made.llama_ggml(b"fmgg", 101)).architecture == "rwkv"
    assert header(made.llama_ggml(b"algg", 1)).kind == "adapter"
    assert header(made.llama_ggml(b"tjgg", 7)).problem == "version 7 is not known (1 to 3 are)"
    assert header(b"lmgg" + bytes(8)).problem == "cut short: 12 bytes hold no model"
    for magic in (b"nsgg", b"qsgg"):
        assert parsed(made.llama_ggml(magic)) is None


TENSOR = {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (made.safetensors_bytes({"w": TENSOR}, bytes(12)), None),
        (made.safetensors_bytes({"w": TENSOR, "__metadata__": {"shape": "x", "dtype": "y"}}, bytes(12)), None),
        (made.safetensors_bytes({"w": TENSOR}, bytes(8)), "cut short: "),
        (made.safetensors_bytes({"w": TENSOR}, bytes(16)), "wrong length: "),
        (made.safetensors_bytes({"w": TENSOR})[:40], "cut short: a header of "),
        (made.safetensors_bytes(b'{"data_offsets": ' + b"[" * 5000), "its header is not the JSON that safetensors has"),
        (made.safetensors_bytes({"w": {"dtype": "F16", "shape": [2]}}), "a tensor without type, shape or place"),
        (made.safetensors_bytes({"w": TENSOR | {"shape": [1] * 9}}), "a tensor with an impossible shape or place"),
        (made.safetensors_bytes({"w": TENSOR | {"shape": [-1]}}), "a tensor with an impossible shape or place"),
        (
            made.safetensors_bytes({"w": TENSOR | {"data_offsets": [5, 2]}}),
            "a tensor with an impossible shape or place",
        ),
        (
            made.safetensors_bytes({"w": TENSOR | {"dtype": "x" * 99}}),
            "a tensor of a type that safetensors does not have",
        ),
    ],
)
def test_safetensors_whole_and_damaged(data, problem):
    found = header(data)
    assert found.format == "safetensors"
    assert found.problem == problem if problem is None else found.problem.startswith(problem)
    if problem is None:
        assert (found.parameters, found.quantization) == (6, "F16")


def test_json_behind_a_number_is_not_yet_safetensors():
    assert parsed(struct.pack("<Q", 5000) + b'{"some": "other format"}' + bytes(90)) is None
    assert parsed(b'{"a": 1, "b": 2, "c": "json"}') is None


def test_the_type_that_most_elements_have_is_the_quantisation():
    tensors = {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "BF16", "shape": [8], "data_offsets": [8, 24]},
        "c": {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]},
    }
    assert header(made.safetensors_bytes(tensors, bytes(32))).quantization == "BF16"


def torch_zip(tmp_path, **options):
    return content(made.write_torch_zip(str(tmp_path / "a"), **options))


def test_a_pytorch_zip_is_known_by_its_contents(tmp_path):
    part = parsed(torch_zip(tmp_path, storages=(bytes(48), bytes(16)), kind="Half"))
    assert (part.header.format, part.header.problem, part.header.weak) == ("pytorch", None, False)
    assert part.elements == {"F16": 32}


def test_a_checkpoint_with_an_optimiser_does_not_tell_its_parameters(tmp_path):
    assert parsed(torch_zip(tmp_path, extra=b"X\x07\x00\x00\x00exp_avgq\x01")).elements == {}


def test_a_pytorch_zip_of_several_types_or_an_unknown_one_does_not_tell_its_parameters(tmp_path):
    assert parsed(torch_zip(tmp_path, extra=b"ctorch\nHalfStorage\n")).elements == {}
    assert parsed(torch_zip(tmp_path, kind="Quaternion")).elements == {}


def test_a_pytorch_zip_cut_short_is_still_known(tmp_path):
    found = header(torch_zip(tmp_path)[:-60])
    assert found.problem == "cut short: its list of contents, at the end, is missing"


def test_a_zip_without_data_pkl_is_no_model(tmp_path):
    made.write_torch_zip(str(tmp_path / "a"))
    data = content(tmp_path / "a").replace(b"data.pkl", b"data.txt")
    assert parsed(data) is None
    assert parsed(data[:-60]) is None


def test_a_pickle_is_never_unpickled(tmp_path):
    trap = tmp_path / "ran"
    command = b"cos\nsystem\n(S'touch %s'\ntR." % str(trap).encode()
    for data in (
        b"\x80\x02" + command,
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + command,
        made.torch_legacy() + command,
    ):
        parsed(data)
    parsed(torch_zip(tmp_path, extra=command))
    assert not trap.exists()


def test_legacy_pytorch_is_sure_and_a_bare_pickle_weak():
    assert (header(made.torch_legacy()).format, header(made.torch_legacy()).weak) == ("pytorch", False)
    assert header(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.").weak
    assert parsed(b"\x80\x04\x95\x10\x00\x00\x00sklearn.") is None


def test_onnx_is_walked_for_its_weights():
    data = made.onnx(
        made.onnx_tensor((3, 4), 10, bytes(24)), made.onnx_tensor((5,), 7, bytes(40)), made.onnx_tensor((2,), 1)
    )
    part = parsed(data)
    assert (part.header.format, part.header.quantization, part.header.problem) == ("onnx", "F16", None)
    assert part.elements == {"F16": 12, "F32": 2}


def test_onnx_with_packed_dimensions():
    tensor = made.field(1, b"\x03\x04") + made.field(2, 1)
    assert parsed(made.onnx(tensor)).elements == {"F32": 12}


def test_onnx_cut_short_is_a_problem_and_another_message_no_model():
    whole = made.onnx(made.onnx_tensor((100,), 1, bytes(400)))
    assert header(whole[:200]).problem.startswith("cut short")
    assert parsed(made.field(1, 9) + made.field(3, b"some other message")) is None
    assert parsed(made.field(1, 9) + made.field(19, b"some other message")) is None
    assert parsed(b"\x08\x09" + bytes(100)) is None
    assert parsed((made.field(1, 1) + made.field(2, bytes(500)) * 2)[:-1]) is None


def test_ctranslate2_is_walked_to_its_end():
    data = made.ctranslate2(variables=(("w", (4, 5), 4), ("b", (5,), 4), ("scale", (), 0)))
    part = parsed(data)
    assert (part.header.architecture, part.header.quantization, part.elements) == ("WhisperSpec", "F16", {"F16": 25})
    assert header(data[:-20]).problem.startswith("cut short")
    assert header(data.replace(struct.pack("<II", 4, 5), struct.pack("<II", 4, 6))).problem == (
        "a variable whose length does not fit its shape"
    )


def test_tflite_is_known_and_a_root_outside_of_it_is_a_problem():
    assert (header(made.tflite()).format, header(made.tflite()).problem) == ("tflite", None)
    assert header(b"\xff\xff\xff\x7fTFL3" + bytes(20)).problem == "cut short: its root table is missing"


@pytest.mark.parametrize("version", [0, 2, 3])
def test_hdf5_is_a_model_where_keras_wrote_it(version):
    assert (header(made.hdf5(version=version)).kind, header(made.hdf5(version=version)).problem) == ("model", None)
    assert header(made.hdf5(version=version, keras=False)).weak
    assert header(made.hdf5(version=version, claimed=9000)).problem == "cut short: 512 of 9000 bytes are there"


def test_keras_archives_are_known_by_their_three_files(tmp_path):
    found = header(content(made.write_keras(str(tmp_path / "a"))))
    assert (found.format, found.architecture, found.problem) == ("keras", "Sequential", None)


def test_a_llamafile_is_the_model_that_it_carries(tmp_path):
    import zipfile

    model = content(made.write_gguf(str(tmp_path / "a"), name="Inside"))
    with open(tmp_path / "llamafile", "wb") as file:
        file.write(b"MZqFpD='\n" + bytes(1000))
    with zipfile.ZipFile(tmp_path / "llamafile", "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("tiny.gguf", model)
        archive.writestr(".args", "-m\ntiny.gguf\n")
    data = content(tmp_path / "llamafile")
    found = header(data)
    assert (found.format, found.name, found.parameters, found.problem) == ("gguf", "Inside", 256, None)
    assert found.size == len(data)
    assert parsed(b"MZqFpD='\n" + bytes(1000)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        bytes(4096),
        b"\x7fELF" + bytes(60),
        b"#!/bin/sh\n",
        b"\x89PNG\r\n\x1a\n",
        b"GGU",
        b"import vllm\n",
        b"MZ\x90\0",
    ],
)
def test_what_is_no_model_is_none(data):
    assert parsed(data) is None
