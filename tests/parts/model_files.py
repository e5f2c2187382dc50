"""Model files for tests: those of GGUF and safetensors by their own packages, the others byte by byte."""

import json
import os
import pickle
import struct
import zipfile

import gguf
import numpy as np
from safetensors.numpy import save_file


def write_gguf(path, *, big_endian=False, architecture="llama", tensors=(("blk.0.w", (4, 64)),), facts=(), **strings):
    """Write a GGUF file with its own package; facts are (method of GGUFWriter, arguments), strings general.* keys."""
    order = gguf.GGUFEndian.BIG if big_endian else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(path, architecture, endianess=order)
    for key, text in strings.items():
        writer.add_string(f"general.{key}", text)
    for method, *arguments in facts:
        getattr(writer, method)(*arguments)
    for name, shape in tensors:
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_v1(name="Old", context=2048, tensor=(8, 4)):
    """Return a GGUF file of version 1, whose lengths have 32 bits."""

    def string(text):
        return struct.pack("<I", len(text)) + text.encode()

    keys = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("general.name") + struct.pack("<I", 8) + string(name),
        string("llama.context_length") + struct.pack("<II", 4, context),
        string("tokenizer.ggml.tokens") + struct.pack("<III", 9, 8, 2) + string("a") + string("b"),
    ]
    info = string("w") + struct.pack("<III", 2, *tensor) + struct.pack("<IQ", 0, 0)
    head = b"GGUF" + struct.pack("<III", 1, 1, len(keys)) + b"".join(keys) + info
    return head + bytes(-len(head) % 32) + bytes(4 * tensor[0] * tensor[1])


def write_safetensors(path, tensors=None, metadata=None):
    """Write a safetensors file with its own package."""
    save_file(tensors or {"w": np.zeros((3, 4), np.float16)}, path, metadata=metadata)
    return path


def safetensors_bytes(header, data=b""):
    """Return a safetensors file with any header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_torch_zip(path, *, root="archive", storages=(b"\0" * 48,), kind="Float", extra=b""):
    """Write what torch.save writes: a pickle that names the storages' type, and the storages."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{root}/data.pkl", b"\x80\x02ctorch\n%sStorage\nq\x00" % kind.encode() + extra + b".")
        archive.writestr(f"{root}/byteorder", b"little")
        for number, storage in enumerate(storages):
            archive.writestr(f"{root}/data/{number}", storage)
        archive.writestr(f"{root}/version", b"3\n")
    return path


def torch_legacy():
    """Return the start of what torch.save wrote before 1.6: its magic number and its protocol, pickled one by one."""
    return pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2) + b"\x80\x02}q\x00."


def field(number, value):
    """Return a field of a protobuf message: a varint for a number, else bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def onnx_tensor(shape, data_type=1, raw=b"", location=None):
    """Return a TensorProto; with location its data lies in another file."""
    tensor = b"".join(field(1, extent) for extent in shape) + field(2, data_type) + field(8, b"w")
    if location is not None:
        entry = field(1, b"location") + field(2, location.encode())
        return tensor + field(13, entry) + field(14, 1)
    return tensor + field(9, raw)


def onnx(*tensors):
    """Return an ONNX model with initializers."""
    graph = field(1, field(4, b"MatMul")) + field(2, b"main") + b"".join(field(5, tensor) for tensor in tensors)
    return field(1, 9) + field(2, b"pytorch") + field(7, graph) + field(8, field(2, 17))


def ctranslate2(spec="WhisperSpec", variables=(("encoder/conv1/weight", (2, 3), 4),)):
    """Return a model.bin of version 6; variables are (name, shape, type: 0 float32 … 4 float16)."""

    def string(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    out = struct.pack("<I", 6) + string(spec) + struct.pack("<II", 3, len(variables))
    for name, shape, kind in variables:
        size = int(np.prod(shape)) * (4, 1, 2, 4, 2, 2)[kind]
        out += string(name) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, kind, size) + bytes(size)
    return out + struct.pack("<I", 0)


def hdf5(*, keras=True, version=0, claimed=None):
    """Return the first block of an HDF5 file and some names; claimed is where it says that it ends."""
    names = b"\0keras_version\0" if keras else b"\0temperature\0"
    size = 512
    end = size if claimed is None else claimed
    none = 2**64 - 1
    if version == 0:
        block = (
            b"\x89HDF\r\n\x1a\n"
            + bytes((0, 0, 0, 0, 0, 8, 8, 0))
            + struct.pack("<HHIQQQQ", 4, 16, 0, 0, none, end, none)
        )
    else:
        block = b"\x89HDF\r\n\x1a\n" + bytes((version, 8, 8, 0)) + struct.pack("<QQQQ", 0, none, end, 48)
    return (block + names).ljust(size, b"\0")


def tflite():
    """Return the smallest FlatBuffer with TensorFlow Lite's identifier: a root table without fields."""
    return struct.pack("<I4sHHi", 12, b"TFL3", 4, 4, 4).ljust(32, b"\0")


def write_keras(path):
    """Write a Keras 3 archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", b'{"keras_version": "3.5.0"}')
        archive.writestr("config.json", b'{"class_name": "Sequential", "config": {"name": "sequential"}}')
        archive.writestr("model.weights.h5", hdf5())
    return path


def whisper_ggml(file_type=1, mels=80):
    """Return the start of a whisper.cpp model: magic and hyper-parameters of whisper base."""
    return b"lmgg" + struct.pack("<11I", 51865, 1500, 512, 8, 6, 448, 512, 8, 6, mels, file_type) + bytes(64)


def llama_ggml(magic=b"tjgg", version=3, file_type=2):
    """Return the start of a llama.cpp model of before GGUF."""
    return magic + struct.pack("<8I", version, 32000, 4096, 256, 32, 32, 128, file_type) + bytes(64)


def write_saved_model(path):
    """Write a SavedModel's folder with one variable file."""
    os.makedirs(os.path.join(path, "variables"))
    files = {
        "saved_model.pb": field(1, 1) + field(2, field(1, b"meta") + field(2, b"graph")),
        "variables/variables.index": b"index",
        "variables/variables.data-00000-of-00001": bytes(100),
    }
    for name, content in files.items():
        write(os.path.join(path, name), content)
    return path


def write(path, content):
    """Write a file, with the folders that it needs."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path
