"""Files that come in parts inside installed packages: joined and checked before they are used.

The packages come from unknown uploaders. They are found without being imported, so none of their code
runs, and their bytes are used only if the joined file has the digest that its description names.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import msgspec

from core.file_lock import locked
from core.files import whole_file

PIECE = 4 * 2**20
"""Bytes read at once."""
FREE_SPACE_RESERVE = 64 * 2**20
"""Bytes that must stay free on the disk beside the files."""

Progress = Callable[[str, float], None]
"""Called with the current step ("checking", "joining") and the fraction of it (0…1) that is done."""


class PackagedFileError(Exception):
    """A file cannot be prepared; the message is one line that says which one and why."""


class Part(msgspec.Struct, frozen=True):
    """A part of a file; `path` is relative to the folder of the importable `package`."""

    package: str
    path: str


class PackagedFile(msgspec.Struct, frozen=True):
    """A file to join; `size` in bytes and `sha256` in hex are those of the parts joined in order."""

    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...]


def _ignore_progress(step: str, fraction: float) -> None:
    pass


def prepare_files(files: Sequence[PackagedFile], folder: Path, progress: Progress = _ignore_progress) -> None:
    """Make sure that `folder` holds all of `files`, correct to the last byte.

    The folder holds only copies. Every call computes their digests, since nothing cheaper would notice a
    changed byte under an old timestamp, and replaces a copy that is wrong. Several processes may call this at
    once: one works, the others wait. Raises `PackagedFileError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        waiting = partial(progress, "waiting for another process that prepares", 0)
        with locked(folder / ".lock", waiting):
            missing = [file for file in files if not _is_intact(folder / file.name, file, progress)]
            _check_free_space(folder, sum(file.size for file in missing))
            for file in missing:
                _join(file, folder / file.name, progress)
    except OSError as error:
        raise PackagedFileError(f"{error.filename or folder}: {error.strerror or error}") from error


def find_packaged(package: str, path: str) -> Path | None:
    """Return the path of a file or folder in an installed package; None if it is not there."""
    # for a name without dots, `find_spec` only searches and does not import
    spec = find_spec(package)
    places = (Path(folder) / path for folder in (spec and spec.submodule_search_locations) or ())
    return next((place for place in places if place.exists()), None)


def file_digest(path: Path, on_progress: Callable[[int], None] = lambda done: None) -> str:
    """Compute a file's SHA-256 in hex; `on_progress` gets the number of bytes done."""
    digest = sha256()
    done = 0
    for piece in _read_pieces(path):
        digest.update(piece)
        done += len(piece)
        on_progress(done)
    return digest.hexdigest()


def _is_intact(path: Path, file: PackagedFile, progress: Progress) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return file_digest(path, lambda done: progress("checking", done / file.size)) == file.sha256


def _check_free_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted and free < wanted + FREE_SPACE_RESERVE:
        needed, left = (wanted + FREE_SPACE_RESERVE) // 2**20, free // 2**20
        raise PackagedFileError(f"{folder}: the disk is full: {needed} MiB are needed, {left} MiB are free")


def _join(file: PackagedFile, target: Path, progress: Progress) -> None:
    """Join the parts into `target`, which appears only when it is complete, correct and on disk."""
    sources = [_locate(part) for part in file.parts]
    size = sum(source.stat().st_size for source in sources)
    if size != file.size:
        raise PackagedFileError(f"{target}: its parts have {size} bytes, but it must have {file.size}")
    # a fixed name, safe under the lock: leftovers of killed processes are overwritten and do not pile up
    with whole_file(target, target.with_name(f"{file.name}.partial")) as out:
        digest = _copy(sources, out, lambda done: progress("joining", done / file.size))
        if digest != file.sha256:
            raise PackagedFileError(f"{target}: its SHA-256 is {digest}, but it must be {file.sha256}")


def _locate(part: Part) -> Path:
    path = find_packaged(part.package, part.path)
    if path is None:
        name = part.package.replace("_", "-")
        raise PackagedFileError(f"{name}: this package, with {part.path} in it, is not installed")
    return path


def _copy(sources: Sequence[Path], out: BinaryIO, on_progress: Callable[[int], None]) -> str:
    """Copy the sources to `out`; return the SHA-256 of what was written, in hex."""
    digest = sha256()
    for source in sources:
        for piece in _read_pieces(source):
            out.write(piece)
            digest.update(piece)
            on_progress(out.tell())
    return digest.hexdigest()


def _read_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
