"""TensorFlow's SavedModel: a folder with saved_model.pb and variables/ (tensorflow/core/protobuf/saved_model.proto)."""

from safetytwin.workloads.formats.header import HeaderError
from safetytwin.workloads.formats.protobuf import BYTES, VARINT, fields
from safetytwin.workloads.formats.source import Cursor, HeaderSource

DESCRIPTION = "saved_model.pb"
VARIABLES = "variables"
INDEX = "variables.index"
_VERSION, _GRAPHS = 1, 2


def problem_of(source: HeaderSource) -> str | None:
    """Return what is wrong with a saved_model.pb, None where it is one."""
    seen = set()
    try:
        for number, wire, _ in fields(Cursor(source), source.size):
            if (number, wire) not in {(_VERSION, VARINT), (_GRAPHS, BYTES)}:
                return "saved_model.pb holds something else"
            seen.add(number)
    except HeaderError as error:
        return f"saved_model.pb: {error}"
    return None if _GRAPHS in seen else "saved_model.pb holds no graph"
