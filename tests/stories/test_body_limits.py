"""Django's routes accept only small bodies, whoever sends them, and none reaches the disk."""

import re
import socket
import tempfile
from collections.abc import Iterator

import httpx2
import pytest
from django.conf import settings as product_settings
from pytest_django import Settings

from accounts.models import User
from chatapi.middleware.body_limit import BODILESS_BYTES
from tests.support.people import Person
from tests.support.running_server import Server

LIMIT = product_settings.DATA_UPLOAD_MAX_MEMORY_SIZE
ADDRESSES = ["/livez", "/accounts/login/", "/v1/conversations", "/no/such/page"]


@pytest.fixture
def no_spooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a request whose body reaches the disk."""

    def rollover(self: object) -> None:
        raise AssertionError("a body was spooled to the disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)


def pieces(size: int) -> Iterator[bytes]:
    """A body without a declared length, which is sent chunked."""
    for _ in range(size // 2**16):
        yield b"b" * 2**16


def assert_too_large(refused: httpx2.Response) -> None:
    assert refused.status_code == 413, refused.text
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["x-request-id"]
    assert refused.json()["error"]["code"] == "body_too_large"


@pytest.mark.usefixtures("no_spooling")
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_chunked_body_over_the_limit_is_refused(server: Server, address: str, method: str) -> None:
    with server.client() as client:
        assert_too_large(client.request(method, address, content=pieces(16 * 2**20)))


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read(
    server: Server, address: str
) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = f"POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(65536)


@pytest.mark.usefixtures("no_spooling")
def test_a_body_up_to_the_limit_reaches_its_view(server: Server) -> None:
    with server.client() as client:
        whole = client.post("/livez", content=b"b" * LIMIT)
        assert whole.status_code == 405
        assert_too_large(client.post("/livez", content=b"b" * (LIMIT + 1)))


def test_a_method_without_a_body_may_send_little(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        assert client.request("GET", "/livez", content=b"b" * BODILESS_BYTES).status_code == 200
        for address in ("/livez", "/v1/conversations"):
            assert_too_large(client.request("GET", address, content=b"b" * (BODILESS_BYTES + 1)))
        assert client.get("/v1/conversations").status_code == 200


def test_a_form_arrives_as_it_was_sent(server: Server, db: None) -> None:
    User.objects.create_superuser("root@example.com", "a good password")
    with server.client() as client:
        page = client.get("/accounts/login/").text
        token = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page)[0]
        fields = {
            "login": "root@example.com",
            "password": "a good password",
            "csrfmiddlewaretoken": token,
            "next": "/admin/",
            "padding": "é" * 200_000,
        }
        signed_in = client.post("/accounts/login/", data=fields)
        assert (signed_in.status_code, signed_in.headers["location"]) == (302, "/admin/")
        assert client.get("/admin/").status_code == 200


def test_a_body_that_never_arrives_is_refused(server: Server, settings: Settings) -> None:
    settings.CHATAPI_BODY_SECONDS = 0.2
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert b" 408 " in connection.recv(65536)


@pytest.mark.xdist_group("daphne")
def test_daphne_refuses_large_bodies_too(daphne_url: str) -> None:
    with httpx2.Client(base_url=daphne_url, timeout=20) as client:
        assert_too_large(client.post("/livez", content=pieces(16 * 2**20)))
        assert_too_large(client.post("/no/such/page", content=b"b" * (LIMIT + 1)))
        assert client.post("/livez", content=b"b" * LIMIT).status_code == 405
        assert client.get("/livez").status_code == 200
