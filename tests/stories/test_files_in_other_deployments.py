"""Files over HTTP in other deployments: in a bucket, with a worker, behind Daphne."""

import io
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.core.files.storage import default_storage
from django.test import override_settings
from PIL import Image

from media.models import Asset
from tests.support.people import Person
from tests.support.running_server import Server, wait_until
from tests.support.s3_server import bucket_options, s3_endpoint, s3_session

__all__ = ["bucket_options", "s3_endpoint", "s3_session"]

DATA = bytes(range(256)) * 10_000


@pytest.fixture
def in_a_bucket(bucket_options: dict[str, Any]) -> Iterator[None]:
    bucket = {"BACKEND": "media.storage.s3.ObjectStorage", "OPTIONS": bucket_options}
    with override_settings(STORAGES={"default": bucket}):
        yield


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (600, 400), "teal").save(out, "JPEG")
    return out.getvalue()


def uploaded(client: httpx2.Client, data: bytes) -> dict[str, Any]:
    answer = client.post("/v1/files", files={"file": ("data.bin", data)})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.usefixtures("in_a_bucket")
def test_a_file_in_a_bucket_is_read_in_parts(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        made = uploaded(client, DATA)
        address = f"/v1/files/{made['id']}/content"

        assert client.get(address).content == DATA
        part = client.get(address, headers={"Range": "bytes=1000-1500000"})
        assert (part.status_code, part.content) == (206, DATA[1000:1_500_001])
        assert client.get(made["url"], headers={"Range": "bytes=-3"}).content == DATA[-3:]
        default_storage.delete(Asset.objects.get().storage_name)
        assert client.get(address).status_code == 404


@pytest.mark.usefixtures("in_a_bucket")
def test_a_missing_bucket_is_reported(server: Server, alice: Person, bucket_options: dict[str, Any]) -> None:
    with server.client(alice) as client:
        made = uploaded(client, DATA)
        with override_settings(
            STORAGES={
                "default": {
                    "BACKEND": "media.storage.s3.ObjectStorage",
                    "OPTIONS": bucket_options | {"bucket_name": "no-such-bucket"},
                }
            }
        ):
            answers = [
                client.get(f"/v1/files/{made['id']}/content"),
                client.post("/v1/files", files={"file": b"other"}),
            ]
    assert [answer.json()["error"]["code"] for answer in answers] == ["storage", "storage"]
    assert [answer.status_code for answer in answers] == [503, 503]


def test_a_worker_creates_the_renditions_of_an_upload(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        made = uploaded(client, picture())
        address = f"/v1/files/{made['id']}/renditions"

        def listed() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = client.get(address).json()["data"]
            return found

        wait_until(lambda: all(rendition["state"] == "ready" for rendition in listed()))
        by_kind = {rendition["kind"]: rendition for rendition in listed()}
    with server.client() as anybody:
        thumbnail = anybody.get(by_kind["thumbnail"]["url"])

    assert thumbnail.headers["content-type"] == by_kind["thumbnail"]["media_type"]
    assert len(thumbnail.content) == by_kind["thumbnail"]["bytes"]
    with Image.open(io.BytesIO(thumbnail.content)) as small:
        assert max(small.size) <= 256


@pytest.mark.xdist_group("daphne")
def test_daphne_serves_files_too(daphne_url: str, alice: Person) -> None:
    with httpx2.Client(base_url=daphne_url, headers=alice.headers, timeout=30) as client:
        made = uploaded(client, DATA)
        part = client.get(made["url"], headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, DATA[5:10])
        assert client.get(f"/v1/files/{made['id']}/content").content == DATA
        assert client.get("/media/x").json()["error"]["code"] == "not_found"
        spoken = {"model": "x", "voice": "espeak-en-us", "input": "Hello.", "response_format": "wav"}
        assert client.post("/v1/audio/speech", json=spoken).content.startswith(b"RIFF")
        assert client.post("/v1/files", content=b"x").status_code == 415
