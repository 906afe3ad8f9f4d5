"""Files that come in parts inside installed packages: joined, checked, and only then used.

The packages are found without being imported, so none of their code runs. Their bytes are used only
where the joined file has the digest that its description names.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec

SPARE = 64 * 2**20
"""Bytes that shall stay free on the disk beside the files."""


class PackagedFileError(Exception):
    """A file cannot be made ready; the message is one line that says which one and why."""


class Part(msgspec.Struct, frozen=True):
    """`path` is relative to the folder of the importable `package`."""

    package: str
    path: str


class PackagedFile(msgspec.Struct, frozen=True):
    """`size` in bytes and `sha256` in hex are those of the parts joined in their order."""

    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...]


def make_ready(files: Sequence[PackagedFile], folder: Path) -> None:
    """See to it that `folder` holds every one of `files`, right to the last byte.

    What lies there is checked, and made anew where it is not what it should be. Several processes may
    ask at once: one works, the others wait. Raises PackagedFileError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            missing = [file for file in files if not _is_right(folder / file.name, file)]
            _see_to_space(folder, sum(file.size for file in missing))
            for file in missing:
                _join(file, folder / file.name)
    except OSError as error:
        raise PackagedFileError(f"{error.filename or folder}: {error.strerror or error}") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_right(path: Path, file: PackagedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _see_to_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted and free < wanted + SPARE:
        needed, left = (wanted + SPARE) // 2**20, free // 2**20
        raise PackagedFileError(f"{folder}: the disk is full: {needed} MiB are needed, {left} MiB are free")


def _join(file: PackagedFile, target: Path) -> None:
    """`target` appears only when it is whole, right and on the disk."""
    sources = [_located(part) for part in file.parts]
    size = sum(source.stat().st_size for source in sources)
    if size != file.size:
        raise PackagedFileError(f"{target}: its parts have {size} bytes, but it must have {file.size}")
    # one name for all, under the lock: what a killed process left is overwritten, not collected
    draft = target.with_name(f"{file.name}.draft")
    try:
        _write(draft, sources)
        digest = _sha256(draft)
        if digest != file.sha256:
            raise PackagedFileError(f"{target}: its SHA-256 is {digest}, but it must be {file.sha256}")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    _sync(target.parent)


def _located(part: Part) -> Path:
    # for a name without dots `find_spec` only looks, it does not import
    spec = find_spec(part.package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / part.path
        if path.is_file():
            return path
    name = part.package.replace("_", "-")
    raise PackagedFileError(f"{name}: this package, with {part.path} in it, is not installed")


def _write(path: Path, sources: Sequence[Path]) -> None:
    with path.open("wb") as out:
        for source in sources:
            with source.open("rb") as stream:
                shutil.copyfileobj(stream, out, 2**20)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
