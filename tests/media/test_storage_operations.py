"""What callers rely on in a storage, both on disk and in a bucket."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.test import override_settings

from chatapi.storage_settings import storages as storages_settings
from media.storage import disk
from media.storage import operations as storage
from media.storage.disk import WholeFileStorage
from media.storage.interface import CHUNK_BYTES
from media.storage.s3 import ObjectStorage
from tests.support.s3_server import bucket_options, s3_endpoint, s3_session

__all__ = ["bucket_options", "s3_endpoint", "s3_session"]

DATA = bytes(range(256)) * 2000
NAME = "workspace/ab/abc"


@pytest.fixture(params=["disk", "bucket"])
def kept(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    """The default storage, built from the settings."""
    if request.param == "bucket":
        options: dict[str, Any] = request.getfixturevalue("bucket_options")
        for name, value in {
            "CHATAPI_S3_BUCKET": options["bucket_name"],
            "CHATAPI_S3_ENDPOINT": options["endpoint_url"],
            "CHATAPI_S3_REGION": "us-east-1",
            "CHATAPI_S3_PREFIX": "/of/chatapi/",
            "CHATAPI_S3_ACCESS_KEY_ID": options["access_key"],
            "CHATAPI_S3_SECRET_ACCESS_KEY": options["secret_key"],
        }.items():
            monkeypatch.setenv(name, value)
    with override_settings(STORAGES=storages_settings(tmp_path / "data")):
        yield storages["default"]


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return path

    return write


FileOf = Callable[[bytes], Path]


def read(name: str) -> bytes:
    with storages["default"].open(name) as file:
        return bytes(file.read())


def test_the_settings_select_the_right_storage(kept: Storage, request: pytest.FixtureRequest) -> None:
    kinds: dict[str, type[Storage]] = {"disk": WholeFileStorage, "bucket": ObjectStorage}
    assert type(kept) is kinds[request.node.callspec.params["kept"]]


@pytest.mark.parametrize("data", [DATA, b""], ids=["full", "empty"])
def test_a_file_is_kept_and_read_back(kept: Storage, file_of: FileOf, data: bytes) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    storage.save_file(NAME, file_of(data))
    assert storage.exists(NAME)
    assert storage.size(NAME) == len(data)
    assert before < storage.modified_at(NAME) < datetime.now(UTC) + timedelta(seconds=2)
    assert read(NAME) == data
    with storage.local_copy(NAME) as path:
        assert path.read_bytes() == data


def test_what_django_saves_is_the_same_kind_of_file(kept: Storage) -> None:
    assert kept.save(NAME, ContentFile(DATA)) == NAME
    assert read(NAME) == DATA


def test_a_second_file_of_the_name_replaces_the_first(kept: Storage, file_of: FileOf) -> None:
    storage.save_file(NAME, file_of(b"first"))
    storage.save_file(NAME, file_of(DATA))
    assert read(NAME) == DATA
    assert [found.name for found in storage.walk("")] == [NAME]


def test_a_copy_can_be_read_while_the_file_is_replaced(kept: Storage, file_of: FileOf) -> None:
    storage.save_file(NAME, file_of(DATA))
    with storage.local_copy(NAME) as path, path.open("rb") as opened:
        storage.save_file(NAME, file_of(b"second"))
        assert opened.read() == DATA
    assert read(NAME) == b"second"


@pytest.mark.parametrize(
    ("start", "length"), [(0, 1), (0, len(DATA)), (100_001, 200_000), (len(DATA) - 1, 1), (5, 0)]
)
def test_a_range_is_exact_and_comes_in_pieces(
    kept: Storage, file_of: FileOf, start: int, length: int
) -> None:
    storage.save_file(NAME, file_of(DATA))
    pieces = list(storage.open_range(NAME, start, length))
    assert b"".join(pieces) == DATA[start : start + length]
    assert max(map(len, pieces), default=0) <= CHUNK_BYTES


@pytest.mark.parametrize(("start", "length"), [(len(DATA) - 10, 11), (len(DATA), 1), (10**9, 5)])
def test_a_range_beyond_the_file_fails(kept: Storage, file_of: FileOf, start: int, length: int) -> None:
    storage.save_file(NAME, file_of(DATA))
    with pytest.raises(OSError):
        list(storage.open_range(NAME, start, length))


def test_reading_a_range_may_stop_early(kept: Storage, file_of: FileOf) -> None:
    storage.save_file(NAME, file_of(DATA))
    with closing(storage.open_range(NAME, 0, len(DATA))) as pieces:  # type: ignore[type-var]
        assert DATA.startswith(next(pieces))


def copy(name: str) -> None:
    with storage.local_copy(name):
        pass


@pytest.mark.parametrize(
    "ask",
    [storage.size, storage.modified_at, read, copy, lambda name: list(storage.open_range(name, 0, 1))],
    ids=["size", "modified_at", "open", "local_copy", "open_range"],
)
def test_a_missing_file_is_reported_as_missing(kept: Storage, ask: Callable[[str], object]) -> None:
    assert not storage.exists(NAME)
    with pytest.raises(FileNotFoundError):
        ask(NAME)


def test_a_file_may_be_deleted_twice(kept: Storage, file_of: FileOf) -> None:
    storage.save_file(NAME, file_of(DATA))
    storage.delete(NAME)
    storage.delete(NAME)
    assert not storage.exists(NAME)


def test_a_walk_lists_every_file_of_a_folder_and_no_other(kept: Storage, file_of: FileOf) -> None:
    names = ["ab/1", "ab/c/2", "ab/c/d/3", "abc/4", "5"]
    for name in names:
        storage.save_file(name, file_of(name.encode()))
    assert sorted(found.name for found in storage.walk("")) == sorted(names)
    assert sorted(found.name for found in storage.walk("ab")) == names[:3]
    assert {found.name: found.size for found in storage.walk("ab/c/")} == {"ab/c/2": 6, "ab/c/d/3": 8}
    assert all(found.modified_at == storage.modified_at(found.name) for found in storage.walk(""))
    assert list(storage.walk("nothing")) == []


def test_files_may_be_deleted_while_they_are_walked(kept: Storage, file_of: FileOf) -> None:
    for number in range(20):
        storage.save_file(f"a{number % 4}/{number}", file_of(DATA[:10]))
    for found in storage.walk(""):
        storage.delete(found.name)
    assert list(storage.walk("")) == []


def test_a_folder_is_deleted_with_all_below_it_and_nothing_beside_it(kept: Storage, file_of: FileOf) -> None:
    for name in ("ab/1", "ab/c/2", "abc/3"):
        storage.save_file(name, file_of(DATA[:10]))
    storage.delete_tree("ab")
    storage.delete_tree("ab")
    assert [found.name for found in storage.walk("")] == ["abc/3"]
    storage.save_file("ab/1", file_of(b"anew"))
    assert read("ab/1") == b"anew"


@pytest.mark.parametrize("prefix", ["", "/"])
def test_the_whole_storage_is_never_deleted(kept: Storage, file_of: FileOf, prefix: str) -> None:
    storage.save_file(NAME, file_of(DATA))
    with pytest.raises(ValueError):
        storage.delete_tree(prefix)
    assert storage.exists(NAME)


class BrokenDisk:
    """A file on disk that cannot be read past its first part."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._file = path.open("rb")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if self._file.tell():
            raise OSError(5, "Input/output error")
        return self._file.read(1000)


def test_a_source_that_fails_half_way_leaves_the_old_file(kept: Storage, file_of: FileOf) -> None:
    storage.save_file(NAME, file_of(b"the first"))
    broken = File(BrokenDisk(file_of(DATA)))  # type: ignore[arg-type]
    with broken, pytest.raises(OSError):
        kept.save(NAME, broken)
    assert read(NAME) == b"the first"
    assert [found.name for found in storage.walk("")] == [NAME]


def test_writers_of_one_name_never_mix(kept: Storage, tmp_path: Path) -> None:
    contents = [bytes([number]) * 300_000 for number in range(6)]
    start = threading.Barrier(len(contents))

    def write(data: bytes) -> None:
        path = tmp_path / f"upload-{data[0]}"
        path.write_bytes(data)
        start.wait(10)
        storage.save_file(NAME, path)

    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map(write, contents))
    assert read(NAME) in contents
    assert [found.name for found in storage.walk("")] == [NAME]


def test_on_a_disk_drafts_are_not_listed_and_a_file_is_its_own_copy(tmp_path: Path) -> None:
    kept = WholeFileStorage(tmp_path)
    kept.save(NAME, ContentFile(DATA))
    (Path(kept.path(disk.DRAFTS)) / "unfinished").write_bytes(b"half")
    assert [found.name for found in kept.walk("")] == [NAME]
    with kept.local_copy(NAME) as path:
        assert path == Path(kept.path(NAME))
