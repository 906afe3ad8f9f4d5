"""File storage in an S3 bucket, or on a server that speaks S3."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from storages.backends.s3 import S3Storage

from media.storage.interface import CHUNK_BYTES, StoredObject, read_exactly
from media.temporary_folders import temporary_folder

CONNECT_SECONDS = 3
IDLE_SECONDS = 20
ATTEMPTS = 3
MAX_MEMORY_BYTES = 2 * 2**20
"""Bytes; an opened file that is larger is kept in a temporary file meanwhile."""

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class ObjectStorage(S3Storage):  # type: ignore[misc]  # it has no types
    """A storage where one request writes a file, so that it exists completely or not at all.

    A name that exists is replaced. Every failure raises `OSError`, without what the server said about keys
    and signatures. Nothing has a public URL, and no ACL is sent: without one files are private, and today's
    buckets refuse any.
    """

    def __init__(self, **options: Any) -> None:
        own_server = options.get("endpoint_url") is not None
        super().__init__(**{"client_config": _client_config(own_server=own_server), **options})

    @cached_property
    def _client(self) -> Any:
        """The client of all threads: clients may be shared, and are expensive to create."""
        return self.connection.meta.client

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self._normalize_name(name)}

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        if max_length and len(name) > max_length:
            raise SuspiciousFileOperation("The name is too long, and no other is made up.")
        return name

    def url(self, name: str, *args: object, **kwargs: object) -> str:
        raise NotImplementedError("Stored files have no address of their own.")

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        content.seek(0)
        with _as_os_errors(name):
            self._client.put_object(Body=content.file, **self._at(name), **self._get_write_parameters(name))
        return name

    def _open(self, name: str, mode: str = "rb") -> File:  # type: ignore[type-arg]
        if mode != "rb":
            raise ValueError("A stored file is opened to be read, as bytes.")
        copy = tempfile.SpooledTemporaryFile(MAX_MEMORY_BYTES)  # noqa: SIM115  (the caller closes it)
        try:
            self._download(name, copy)
        except BaseException:
            copy.close()
            raise
        return File(copy, name)

    def delete(self, name: str) -> None:
        with _as_os_errors(name):
            self._client.delete_object(**self._at(name))

    def exists(self, name: str) -> bool:
        try:
            self._head(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        return int(self._head(name)["ContentLength"])

    def get_modified_time(self, name: str) -> datetime:
        modified_at: datetime = self._head(name)["LastModified"]
        return modified_at

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with _as_os_errors(path):
            folders, files = super().listdir(path)
            return folders, files

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        with temporary_folder() as folder:
            path = folder / "copy"
            with path.open("wb") as copy:
                self._download(name, copy)
            yield path

    def open_range(self, name: str, start: int, length: int) -> Iterator[bytes]:
        with _as_os_errors(name):
            answer = self._client.get_object(**self._at(name), Range=f"bytes={start}-{start + length - 1}")
        with closing(answer["Body"]) as body:

            def read(size: int) -> bytes:
                with _as_os_errors(name):
                    return bytes(body.read(size))

            yield from read_exactly(read, length)

    def walk(self, prefix: str) -> Iterator[StoredObject]:
        for page in self._pages(prefix):
            for entry in page:
                name = entry["Key"].removeprefix(self._folder(""))
                yield StoredObject(name, entry["Size"], entry["LastModified"])

    def delete_tree(self, prefix: str) -> None:
        for page in self._pages(prefix):
            keys = [{"Key": entry["Key"]} for entry in page]
            with _as_os_errors(prefix):
                answer = self._client.delete_objects(
                    Bucket=self.bucket_name, Delete={"Objects": keys, "Quiet": True}
                )
            for error in answer.get("Errors", ()):
                raise OSError(f"The object storage refused to delete a file ({error.get('Code')}).")

    def _pages(self, prefix: str) -> Iterator[list[dict[str, Any]]]:
        """Yield what is in a folder, up to a thousand files at a time."""
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=self._folder(prefix)
            )
        )
        while True:
            with _as_os_errors(prefix):
                page = next(pages, None)
            if page is None:
                return
            if page.get("Contents"):
                yield page["Contents"]

    def _folder(self, prefix: str) -> str:
        key: str = self._normalize_name(prefix.strip("/")).strip("/")
        return f"{key}/" if key else ""

    def _head(self, name: str) -> dict[str, Any]:
        with _as_os_errors(name):
            head: dict[str, Any] = self._client.head_object(**self._at(name))
        return head

    def _download(self, name: str, copy: IO[bytes]) -> None:
        with _as_os_errors(name), closing(self._client.get_object(**self._at(name))["Body"]) as body:
            shutil.copyfileobj(body, copy, CHUNK_BYTES)
        copy.seek(0)


def _client_config(*, own_server: bool) -> Config:
    # servers other than Amazon's support neither a host name per bucket nor the newer checksums
    checksums = "when_required" if own_server else "when_supported"
    return Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=IDLE_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=32,
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        s3={"addressing_style": "path" if own_server else "auto"},
    )


@contextmanager
def _as_os_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in _MISSING:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error
        raise OSError(f"The object storage refused a request ({code}).") from error
    except BotoCoreError as error:
        raise OSError(f"The object storage cannot be used ({type(error).__name__}).") from error
