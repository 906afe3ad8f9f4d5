"""Files on disk: each exists under its name whole or not at all."""

import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from chatapi.env import ROOT
from conversations.models import Completion
from core.blob import Blob
from core.exceptions import ServiceUnavailable
from core.files import ABANDONED_AGE
from media.models import Asset
from media.services import read_bytes, store_bytes
from media.storage.disk import WholeFileStorage
from tests.support.hooked_storage import hook_storage
from tests.support.people import Person
from tests.support.running_server import PATHS, Server

DATA = b"x" * 300_000
NAME = sha256(DATA).hexdigest()
BLOB = Blob(NAME, "image/png", len(DATA))
WORKSPACE = uuid4()

KILLED_WHILE_WRITING = """
import os, signal, sys
from collections.abc import Callable, Iterator
from django.conf import settings
from django.core.files.base import ContentFile
from media.storage.disk import WholeFileStorage

class Killing(ContentFile):
    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"x" * 200_000
        os.kill(os.getpid(), signal.SIGKILL)

settings.configure()
WholeFileStorage(sys.argv[1]).save("ab/abc", Killing(b""))
"""


def files_under(folder: Path) -> list[Path]:
    return [found for found in folder.rglob("*") if found.is_file()]


@pytest.fixture
def disk_storage(tmp_path: Path) -> WholeFileStorage:
    return WholeFileStorage(tmp_path, file_permissions_mode=0o600)


class TooLarge(ContentFile):  # type: ignore[type-arg]
    """Content that fills the disk after its first thousand bytes."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield DATA[:1000]
        refuse("")


def refuse(name: str) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def free_disk(tmp_path: Path, settings: Any) -> Callable[[], None]:
    """Let the storage save nothing until the returned function is called."""
    hook_storage(settings, tmp_path, on_save=refuse)
    return lambda: hook_storage(settings, tmp_path)


def test_only_its_owner_can_read_a_file(disk_storage: WholeFileStorage, tmp_path: Path) -> None:
    assert disk_storage.save("ab/abc", ContentFile(DATA)) == "ab/abc"
    assert [path.relative_to(tmp_path) for path in files_under(tmp_path)] == [Path("ab/abc")]
    assert (tmp_path / "ab/abc").stat().st_mode & 0o777 == 0o600
    with disk_storage.open("ab/abc") as file:
        assert file.read() == DATA


def test_a_full_disk_leaves_nothing(disk_storage: WholeFileStorage, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        disk_storage.save("ab/abc", TooLarge(DATA))
    assert files_under(tmp_path) == []


def test_a_process_killed_while_it_writes_leaves_nothing_under_the_name(
    disk_storage: WholeFileStorage, tmp_path: Path
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], cwd=ROOT, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not disk_storage.exists("ab/abc")
    [draft] = files_under(tmp_path)

    disk_storage.save("other", ContentFile(b"now"))
    assert draft.exists()  # another process may still be writing it
    yesterday = draft.stat().st_mtime - ABANDONED_AGE.total_seconds() - 1
    os.utime(draft, (yesterday, yesterday))
    disk_storage.save("other", ContentFile(b"a day later"))
    assert files_under(tmp_path) == [tmp_path / "other"]


def test_the_same_bytes_are_one_file_written_once() -> None:
    store_bytes(WORKSPACE, {NAME: DATA})
    path = Path(default_storage.path(f"{WORKSPACE.hex}/{NAME[:2]}/{NAME}"))
    first = path.stat().st_ino
    store_bytes(WORKSPACE, {NAME: DATA})
    assert path.stat().st_ino == first
    assert files_under(path.parent) == [path]


def test_a_file_that_a_full_disk_refused_is_stored_later(free_disk: Callable[[], None]) -> None:
    workspace = uuid4()
    with pytest.raises(ServiceUnavailable) as refused:
        store_bytes(workspace, {NAME: DATA})
    assert (refused.value.status, refused.value.code) == (503, "storage")
    free_disk()
    store_bytes(workspace, {NAME: DATA})
    assert read_bytes(workspace, BLOB) == DATA


def test_a_damaged_file_is_repaired_when_it_is_stored_again() -> None:
    workspace = uuid4()
    store_bytes(workspace, {NAME: DATA})
    path = Path(default_storage.path(f"{workspace.hex}/{NAME[:2]}/{NAME}"))
    path.write_bytes(DATA[:1000])
    store_bytes(workspace, {NAME: DATA})
    assert read_bytes(workspace, BLOB) == DATA
    assert files_under(path.parent) == [path]


def test_an_upload_that_cannot_be_stored_is_refused_and_leaves_no_row(
    server: Server, alice: Person, free_disk: Callable[[], None]
) -> None:
    text = {"file_data": b64encode(DATA).decode(), "filename": "a.txt"}
    body = {
        "model": "scripted",
        "messages": [{"role": "user", "content": [{"type": "file", "file": text}]}],
    }
    with server.client(alice) as client:
        refused = client.post(PATHS["openai"], json=body)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "storage"
        assert "No space" not in refused.text
        assert refused.headers["retry-after"]
        assert not Completion.objects.exists()
        assert not Asset.objects.exists()

        free_disk()
        assert client.post(PATHS["openai"], json=body).status_code == 200
    assert read_bytes(alice.workspace.id, BLOB) == DATA
