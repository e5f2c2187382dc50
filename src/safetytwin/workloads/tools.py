"""Programs that handle AI files, packages and images without running them: never servers, whatever they are given."""

from collections.abc import Callable, Mapping

from safetytwin.workloads.argv_grammar import Invocation

_FETCHING: Mapping[str, frozenset[str]] = {
    # program: the verbs with which it fetches or builds; none: always
    **dict.fromkeys(("pip", "pip3", "pipx"), frozenset({"install", "download", "wheel", "upgrade"})),
    "uv": frozenset({"pip", "add", "sync", "tool", "lock"}),
    **dict.fromkeys(("conda", "mamba", "micromamba", "poetry", "pdm", "pixi"), frozenset({"install", "create", "add"})),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun"), frozenset({"install", "i", "add", "ci", "update"})),
    **dict.fromkeys(("apt", "apt-get", "aptitude", "dnf", "yum", "zypper", "apk", "snap", "flatpak", "brew"),
                    frozenset({"install", "upgrade", "add", "update"})),
    **dict.fromkeys(("docker", "podman", "nerdctl", "buildah", "skopeo", "ctr", "crictl"),
                    frozenset({"pull", "build", "buildx", "copy", "image", "images"})),
    **dict.fromkeys(("curl", "wget", "aria2c", "git", "git-lfs", "rclone"), frozenset()),
}  # fmt: skip
_ENGINE_CLIENTS = frozenset({"docker", "podman", "nerdctl", "docker-compose", "podman-compose", "kubectl", "helm"})
_HANDLERS = frozenset(
    "cp mv rsync cat dd sha256sum sha1sum sha512sum md5sum b3sum tar gzip zstd xz zip unzip 7z xxd hexdump od strings "
    "file scp sftp sftp-server nginx apache2 httpd smbd rclone aria2c wget curl git git-lfs rg ag ack grep egrep ugrep "
    "restic borg duplicity clamd clamscan tracker-miner-fs tracker-miner-fs-3 baloo_file updatedb plocate vim vi nvim "
    "nano emacs less more head tail wc cmp diff vmtouch fincore rm ln ls find fd du stat busybox sleep ssh mc "
    "llama-quantize llama-gguf llama-gguf-split gguf-split quantize gguf-dump gguf_dump "
    "gguf-new-metadata gguf-set-metadata gguf_new_metadata gguf_set_metadata convert_hf_to_gguf".split()
)
_MOST_ARGUMENTS = 64
_AI_WORDS = frozenset(
    "torch torchvision torchaudio tensorflow tensorflow-gpu tensorflow-cpu jax jaxlib transformers accelerate "
    "diffusers onnxruntime onnxruntime-gpu ctranslate2 sentence-transformers safetensors bitsandbytes".split()
)


def handles_only(program: str) -> bool:
    """Tell whether a program only reads, moves or shows files, so that an open model file says nothing of it."""
    return program in _HANDLERS


def is_engine_client(program: str) -> bool:
    """Tell whether a program is the client of a container engine, whose arguments name images."""
    return program in _ENGINE_CLIENTS


def role_of_tool(invocation: Invocation, names_ai: Callable[[str], bool]) -> str | None:
    """Return installer or client where a package manager or an engine's client is asked for something of AI.

    names_ai tells whether an argument names AI software. None for everything else.
    """
    program = invocation.program
    if invocation.kind == "module" and invocation.interpreter == "python":
        program = invocation.package
    verbs = _FETCHING.get(program)
    if verbs is None and program not in _ENGINE_CLIENTS:
        return None
    given = [word for word in invocation.arguments if not word.startswith("-")]
    if not any(_plain(word) in _AI_WORDS or names_ai(word) for word in given[:_MOST_ARGUMENTS]):
        return None
    if verbs is not None and (not verbs or verbs.intersection(given)):
        return "installer"
    return "client" if program in _ENGINE_CLIENTS else None


def _plain(word: str) -> str:
    for mark in ("==", ">=", "<=", "~=", "[", "@"):
        word = word.partition(mark)[0]
    return word.lower().replace("_", "-")
