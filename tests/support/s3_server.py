"""A real S3 server on loopback: moto's, in a thread of the test's process."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from media.storage.s3 import ObjectStorage

KEYS = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "a-secret-that-nobody-may-read"}


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def s3_session() -> boto3.Session:
    return boto3.Session(KEYS["access_key"], KEYS["secret_key"])


@pytest.fixture
def bucket_options(
    s3_endpoint: str, s3_session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A new bucket, as options of an `ObjectStorage`."""
    name = f"bucket-{uuid4()}"
    client = s3_session.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=name)
    client.close()
    # every new session reads the description of S3, which takes longer than most tests
    monkeypatch.setattr(ObjectStorage, "_create_session", lambda self: s3_session)
    return {"bucket_name": name, "endpoint_url": s3_endpoint, "region_name": "us-east-1", **KEYS}


@pytest.fixture
def bucket(bucket_options: dict[str, Any]) -> ObjectStorage:
    return ObjectStorage(**bucket_options, location="media")
