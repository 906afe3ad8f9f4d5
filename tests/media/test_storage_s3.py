"""Failures that only a bucket has, and its settings."""

import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from django.core.exceptions import SuspiciousFileOperation, SuspiciousOperation
from django.core.files.base import ContentFile
from moto.core.authorization import enable_iam_authentication

from chatapi.env import ROOT
from chatapi.storage_settings import storages
from media.storage.s3 import ObjectStorage
from tests.support.s3_server import KEYS, bucket, bucket_options, s3_endpoint, s3_session

__all__ = ["bucket", "bucket_options", "s3_endpoint", "s3_session"]

EVERY_VERB: list[Callable[[ObjectStorage], object]] = [
    lambda bucket: bucket.save("a/b", ContentFile(b"data")),
    lambda bucket: bucket.open("a/b"),
    lambda bucket: bucket.exists("a/b"),
    lambda bucket: bucket.size("a/b"),
    lambda bucket: bucket.get_modified_time("a/b"),
    lambda bucket: bucket.delete("a/b"),
    lambda bucket: bucket.listdir("a"),
    lambda bucket: list(bucket.walk("a")),
    lambda bucket: bucket.delete_tree("a"),
    lambda bucket: list(bucket.open_range("a/b", 0, 2)),
    lambda bucket: bucket.local_copy("a/b").__enter__(),
]
VERBS = pytest.mark.parametrize(
    "use",
    EVERY_VERB,
    ids=["save", "open", "exists", "size", "modified", "delete", "list", "walk", "tree", "range", "copy"],
)


@pytest.fixture
def guarded_server() -> Iterator[None]:
    """Make the server check signatures and permissions."""
    with enable_iam_authentication():
        yield


def everything_reported(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


@VERBS
def test_a_wrong_key_is_an_os_error_that_shows_no_secret(
    bucket: ObjectStorage, guarded_server: None, use: Callable[[ObjectStorage], object]
) -> None:
    with pytest.raises(OSError, match="refused") as refused:
        use(bucket)
    assert not isinstance(refused.value, FileNotFoundError)
    assert KEYS["secret_key"] not in everything_reported(refused.value)
    assert KEYS["access_key"] not in str(refused.value)


@VERBS
def test_an_unreachable_server_is_an_os_error(
    bucket_options: dict[str, Any], closed_port: int, use: Callable[[ObjectStorage], object]
) -> None:
    at_once = Config(retries={"total_max_attempts": 1})
    unreachable = ObjectStorage(
        **(bucket_options | {"endpoint_url": f"http://127.0.0.1:{closed_port}", "client_config": at_once})
    )
    with pytest.raises(OSError, match="EndpointConnectionError") as failed:
        use(unreachable)
    assert KEYS["secret_key"] not in everything_reported(failed.value)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:  # so that nobody else gets the port; it never listens
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.mark.parametrize("use", [EVERY_VERB[0], EVERY_VERB[-1], EVERY_VERB[7]], ids=["save", "copy", "walk"])
def test_a_missing_bucket_is_not_a_missing_file(
    bucket_options: dict[str, Any], use: Callable[[ObjectStorage], object]
) -> None:
    missing = ObjectStorage(**(bucket_options | {"bucket_name": "never-made"}))
    with pytest.raises(OSError, match="NoSuchBucket") as failed:
        use(missing)
    assert not isinstance(failed.value, FileNotFoundError)


def test_a_folder_of_several_pages_is_deleted_completely(
    bucket: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        bucket.save(f"a/{number}", ContentFile(b"data"))
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    assert len(list(bucket.walk("a"))) == 7
    bucket.delete_tree("a")
    assert list(bucket.walk("")) == []


def test_a_name_is_never_changed_to_another(bucket: ObjectStorage) -> None:
    with pytest.raises(SuspiciousFileOperation):
        bucket.save("a" * 101, ContentFile(b"data"), max_length=100)
    with pytest.raises(SuspiciousOperation):
        bucket.save("../outside", ContentFile(b"data"))
    assert list(bucket.walk("")) == []


def test_files_are_private_and_have_no_url(bucket: ObjectStorage) -> None:
    bucket.save("a/b", ContentFile(b"data"))
    acl = bucket.connection.Object(bucket.bucket_name, "media/a/b").Acl()
    assert [grant["Permission"] for grant in acl.grants] == ["FULL_CONTROL"]
    with pytest.raises(NotImplementedError):
        bucket.url("a/b")


def test_a_stored_file_cannot_be_opened_for_writing(bucket: ObjectStorage) -> None:
    with pytest.raises(ValueError):
        bucket.open("a/b", "wb")


def test_requests_are_signed_with_version_4_and_have_limits(bucket: ObjectStorage) -> None:
    config = bucket.connection.meta.client.meta.config
    assert config.signature_version == "s3v4"
    assert config.connect_timeout <= 5
    assert config.read_timeout <= 30
    assert config.retries["total_max_attempts"] == 3


def test_without_a_bucket_files_are_kept_on_the_disk_and_botocore_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_S3_BUCKET", " ")
    default = storages(tmp_path)["default"]
    assert default["BACKEND"] == "media.storage.disk.WholeFileStorage"
    assert default["OPTIONS"]["location"] == str(tmp_path / "media")
    check = (
        "import sys, media.storage.operations, chatapi.storage_settings; sys.exit('botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "environ",
    [
        {"CHATAPI_S3_ENDPOINT": "http://127.0.0.1:9000"},
        {"CHATAPI_S3_BUCKET": "b", "CHATAPI_S3_SECRET_ACCESS_KEY": "hidden"},
        {"CHATAPI_S3_BUCKET": "b", "CHATAPI_S3_ACCESS_KEY_ID": "hidden"},
        {"CHATAPI_S3_BUCKET": "b", "CHATAPI_S3_ENDPOINT": "s3.example.com"},
        {"CHATAPI_S3_BUCKET": "b", "CHATAPI_S3_ENDPOINT": "http://user:hidden@s3.example.com"},
        {"CHATAPI_S3_BUCKET": "b", "CHATAPI_S3_ENDPOINT": "http://["},
    ],
)
def test_contradictory_settings_prevent_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="CHATAPI_S3_") as stopped:
        storages(tmp_path)
    assert "hidden" not in str(stopped.value)


def test_configured_keys_are_used_without_the_environments_session_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_options: dict[str, Any]
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of other keys")
    monkeypatch.setenv("CHATAPI_S3_BUCKET", "b")
    monkeypatch.setenv("CHATAPI_S3_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("CHATAPI_S3_SECRET_ACCESS_KEY", "own")
    with_keys = ObjectStorage(**storages(tmp_path)["default"]["OPTIONS"])
    assert (with_keys.access_key, with_keys.security_token) == ("own", None)

    monkeypatch.delenv("CHATAPI_S3_ACCESS_KEY_ID")
    monkeypatch.delenv("CHATAPI_S3_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the machine")
    without = ObjectStorage(**storages(tmp_path)["default"]["OPTIONS"])
    assert (without.access_key, without.security_token) == ("of the machine", "of other keys")
