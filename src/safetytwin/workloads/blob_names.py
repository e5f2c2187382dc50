"""Names an Ollama blob as the process that holds it could: by the manifests beside the blobs, in a container too."""

from collections.abc import Callable
from os.path import basename, dirname, join

from safetytwin.workloads.model_stores_ollama import layers_of, name_of_manifest

_MOST_MANIFESTS = 256
_MOST_FOLDERS = 512
_LONGEST_MANIFEST = 65536


def blob_name(path: str, listed: Callable[[str], list[str]], read: Callable[[str, int], bytes]) -> str | None:
    """Return the name of the model whose weights a blob holds; None where path is no blob of Ollama, or has no name.

    listed and read answer as the process sees its files.
    """
    blobs = dirname(path)
    if basename(blobs) != "blobs" or not basename(path).startswith("sha256-"):
        return None
    folders = [join(dirname(blobs), "manifests")]
    for _ in range(3):  # HOST/NAMESPACE/MODEL, then the tags
        folders = [join(folder, name) for folder in folders for name in sorted(listed(folder))][:_MOST_FOLDERS]
    manifests = [join(folder, name) for folder in folders for name in sorted(listed(folder)) if name[:1] != "."]
    for manifest in manifests[:_MOST_MANIFESTS]:
        content = read(manifest, _LONGEST_MANIFEST)
        for layer in layers_of(content, name_of_manifest(manifest)) if content else ():
            if layer.blob == basename(path):
                return layer.name
    return None
