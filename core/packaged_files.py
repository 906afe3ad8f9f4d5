"""Files that come in parts inside installed packages: joined, checked, and only then used.

The packages come from uploaders nobody knows. They are found without being imported, so none of their
code runs, and their bytes are used only where the joined file has the digest that its description names.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import msgspec

PIECE = 4 * 2**20
"""Bytes read at once."""
SPARE = 64 * 2**20
"""Bytes that shall stay free on the disk beside the files."""

Progress = Callable[[str, float], None]
"""Told what is being done ("checking", "joining") and which fraction of it (0…1) is done."""


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


def _untold(doing: str, fraction: float) -> None:
    pass


def make_ready(files: Sequence[PackagedFile], folder: Path, progress: Progress = _untold) -> None:
    """See to it that `folder` holds every one of `files`, right to the last byte.

    What lies there is only a copy. Its digest is computed at every call (nothing cheaper would notice a
    changed byte under an old time stamp), and a copy that is not what it should be is made anew. Several
    processes may ask at once: one works, the others wait. Raises PackagedFileError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder, progress):
            missing = [file for file in files if not _is_right(folder / file.name, file, progress)]
            _see_to_space(folder, sum(file.size for file in missing))
            for file in missing:
                _join(file, folder / file.name, progress)
    except OSError as error:
        raise PackagedFileError(f"{error.filename or folder}: {error.strerror or error}") from error


def find_packaged(package: str, path: str) -> Path | None:
    """Where a file or folder of an installed package lies; None where it does not."""
    # for a name without dots `find_spec` only looks, it does not import
    spec = find_spec(package)
    places = (Path(folder) / path for folder in (spec and spec.submodule_search_locations) or ())
    return next((place for place in places if place.exists()), None)


def file_digest(path: Path, told: Callable[[int], None] = lambda done: None) -> str:
    """The SHA-256 of a file in hex; `told` hears how many bytes are done."""
    digest = sha256()
    done = 0
    for piece in _pieces(path):
        digest.update(piece)
        done += len(piece)
        told(done)
    return digest.hexdigest()


@contextmanager
def _alone_in(folder: Path, progress: Progress) -> Iterator[None]:
    with (folder / ".lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that prepares", 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_right(path: Path, file: PackagedFile, progress: Progress) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return file_digest(path, lambda done: progress("checking", done / file.size)) == file.sha256


def _see_to_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted and free < wanted + SPARE:
        needed, left = (wanted + SPARE) // 2**20, free // 2**20
        raise PackagedFileError(f"{folder}: the disk is full: {needed} MiB are needed, {left} MiB are free")


def _join(file: PackagedFile, target: Path, progress: Progress) -> None:
    """`target` appears only when it is whole, right and on the disk."""
    sources = [_located(part) for part in file.parts]
    size = sum(source.stat().st_size for source in sources)
    if size != file.size:
        raise PackagedFileError(f"{target}: its parts have {size} bytes, but it must have {file.size}")
    # one name for all, under the lock: what a killed process left is overwritten, not collected
    partial = target.with_name(f"{file.name}.partial")
    try:
        digest = _copy(sources, partial, lambda done: progress("joining", done / file.size))
        if digest != file.sha256:
            raise PackagedFileError(f"{target}: its SHA-256 is {digest}, but it must be {file.sha256}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    _sync(target.parent)


def _located(part: Part) -> Path:
    path = find_packaged(part.package, part.path)
    if path is None:
        name = part.package.replace("_", "-")
        raise PackagedFileError(f"{name}: this package, with {part.path} in it, is not installed")
    return path


def _copy(sources: Sequence[Path], target: Path, told: Callable[[int], None]) -> str:
    """Gives back the SHA-256 of what was written, in hex."""
    digest = sha256()
    with target.open("wb") as out:
        for source in sources:
            for piece in _pieces(source):
                out.write(piece)
                digest.update(piece)
                told(out.tell())
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
