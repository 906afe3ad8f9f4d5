"""Clients that ask to speak something else (h2c, WebSocket, TLS) are answered in HTTP/1.1.

Java's HTTP client sends `Upgrade: h2c` with every request, and so does `curl --http2`. What these tests send
and read are the very bytes: what follows a request on its connection must never be taken for a part of it,
nor a part of it for what follows.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import Any

import pytest

from tests.support.people import Person
from tests.support.running_server import Server, chat_body

PATH = "/v1/chat/completions"
H2C = (
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
)
UPGRADES = {
    "h2c": H2C,
    "h2c, as curl sends it": (H2C[1], H2C[2], H2C[0]),
    "TLS": ("Connection: Upgrade", "Upgrade: TLS/1.0"),
    "WebSocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "a list": ("Connection: upgrade", "Upgrade: h2c, websocket, TLS/1.0"),
    "two headers": ("Connection: keep-alive", "Upgrade: h2c", "Connection: Upgrade", "Upgrade: websocket"),
    "odd case": ("CONNECTION: uPGRADE", "uPgRaDe: WebSocket"),
    "nothing": ("Connection: Upgrade", "Upgrade:"),
    "only announced": ("Upgrade: h2c",),
    "without saying to what": ("Connection: Upgrade",),
}
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Connection:
    """A bare connection to the server."""

    def __init__(self, sock: socket.socket, incoming: BufferedReader) -> None:
        self._sock = sock
        self._incoming = incoming

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            time.sleep(0.01 if packet is not packets[0] else 0)
            self._sock.sendall(packet)

    def read(self) -> tuple[int, Any]:
        """Return the status and the content of the next answer; status 0 if the connection was closed."""
        status_line = self._incoming.readline()
        if not status_line:
            return 0, None
        lines = list(iter(self._incoming.readline, b"\r\n"))
        headers = dict(line.decode().rstrip().lower().split(": ", 1) for line in lines)
        body = self._incoming.read(int(headers.get("content-length", 0)))
        return int(status_line.split()[1]), json.loads(body) if body else None


@contextmanager
def connection(server: Server) -> Iterator[Connection]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock.makefile("rb") as incoming:
            yield Connection(sock, incoming)


def head(who: Person, *headers: str, path: str = PATH, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Authorization: Bearer {who.key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def chat(text: str) -> bytes:
    return json.dumps(chat_body(text)).encode()


def chunked(body: bytes) -> bytes:
    half = len(body) // 2
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:], b"")]
    return b"".join(chunks)


def answer_text(answer: tuple[int, Any]) -> str:
    """What the scripted model answered: the question."""
    status, content = answer
    assert status == 200, content
    text: str = content["choices"][0]["message"]["content"]
    return text.removeprefix("You said: ")


@pytest.mark.parametrize("body_comes", ["at once", "later"])
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_a_request_to_upgrade_is_answered_and_its_connection_goes_on(
    server: Server, alice: Person, upgrade: str, body_comes: str
) -> None:
    for framing, body in [
        (f"Content-Length: {len(chat('one'))}", chat("one")),
        ("Transfer-Encoding: chunked", chunked(chat("one"))),
    ]:
        start = head(alice, *UPGRADES[upgrade], "Content-Type: application/json", framing)
        with connection(server) as open_connection:
            open_connection.send(*([start + body] if body_comes == "at once" else [start, body]))
            assert answer_text(open_connection.read()) == "one"
            open_connection.send(SMUGGLED)
            assert open_connection.read() == (200, {"status": "ok"})


@pytest.mark.parametrize("upgrade", UPGRADES)
def test_a_request_in_the_body_of_another_is_never_served(
    server: Server, alice: Person, upgrade: str
) -> None:
    start = head(alice, *UPGRADES[upgrade], f"Content-Length: {len(SMUGGLED)}")
    for packets in ([start + SMUGGLED], [start, SMUGGLED]):
        with connection(server) as open_connection:
            open_connection.send(*packets)
            status, content = open_connection.read()
            assert (status, content["error"]["code"]) == (400, "invalid_json")
            open_connection.send(
                head(alice, "Connection: close", f"Content-Length: {len(chat('two'))}"), chat("two")
            )
            assert answer_text(open_connection.read()) == "two"
            assert open_connection.read()[0] == 0


def test_what_follows_a_request_to_upgrade_is_answered_in_order(server: Server, alice: Person) -> None:
    requests = [
        head(alice, *upgrade, f"Content-Length: {len(chat(name))}") + chat(name)
        for name, upgrade in UPGRADES.items()
    ]
    with connection(server) as open_connection:
        open_connection.send(b"".join(requests) + SMUGGLED)
        assert [answer_text(open_connection.read()) for _ in requests] == list(UPGRADES)
        assert open_connection.read() == (200, {"status": "ok"})


def test_a_client_that_waits_for_100_continue_may_ask_to_upgrade(server: Server, alice: Person) -> None:
    with connection(server) as open_connection:
        open_connection.send(head(alice, *H2C, "Expect: 100-continue", f"Content-Length: {len(chat('hi'))}"))
        assert open_connection.read() == (100, None)
        open_connection.send(chat("hi"))
        assert answer_text(open_connection.read()) == "hi"
        open_connection.send(SMUGGLED)
        assert open_connection.read() == (200, {"status": "ok"})


@pytest.mark.parametrize("ending", [("1.0", *H2C), ("1.1", *H2C, "Connection: close")])
def test_nothing_follows_a_request_that_ends_its_connection(
    server: Server, alice: Person, ending: tuple[str, ...]
) -> None:
    version, *headers = ending
    start = head(alice, *headers, f"Content-Length: {len(chat('bye'))}", version=version)
    for packets in ([start + chat("bye") + SMUGGLED], [start, chat("bye"), SMUGGLED]):
        with connection(server) as open_connection:
            open_connection.send(*packets)
            assert answer_text(open_connection.read()) == "bye"
            with suppress(ConnectionError):
                assert open_connection.read()[0] == 0


def test_a_form_may_come_with_a_request_to_upgrade(server: Server, alice: Person) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nHello\r\n--b--\r\n'
    )
    content = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(form)}")
    with connection(server) as open_connection:
        open_connection.send(head(alice, *H2C, *content, path="/v1/files"), form)
        status, file = open_connection.read()
        assert (status, file["bytes"], file["filename"]) == (200, 5, "a.txt")


def test_a_websocket_is_refused_as_the_plain_request_that_it_is(server: Server, alice: Person) -> None:
    upgrade = "\r\n".join(UPGRADES["WebSocket"])
    with connection(server) as open_connection:
        for path, status in (("/livez", 200), ("/v1/models", 401), ("/nowhere", 404), (PATH, 401)):
            open_connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n\r\n".encode())
            assert open_connection.read()[0] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, 400),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + SMUGGLED, 501),
        (b"CONNECT /livez HTTP/1.1\r\nHost: x:1\r\nContent-Length: 40\r\n\r\n" + SMUGGLED, 501),
    ],
)
def test_what_is_no_request_to_us_ends_the_connection(server: Server, sent: bytes, status: int) -> None:
    with connection(server) as open_connection:
        open_connection.send(sent)
        assert open_connection.read()[0] == status
        assert open_connection.read()[0] == 0


@pytest.mark.parametrize("junk", [b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", b"\x00\r\n\r\n"])
def test_what_comes_behind_a_request_is_not_refused_in_the_place_of_its_answer(
    server: Server, alice: Person, junk: bytes
) -> None:
    body = chat("Hi")
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.key}\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with connection(server) as open_connection:
        open_connection.send(request + junk)
        assert open_connection.read()[0] in {0, 200}


def test_a_trailer_is_no_header(server: Server, alice: Person) -> None:
    start = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = chunked(chat("Hi")).removesuffix(b"\r\n")
    trailer = f"Authorization: Bearer {alice.key}\r\n\r\n".encode()
    with connection(server) as open_connection:
        open_connection.send(start + body + trailer + SMUGGLED)
        assert open_connection.read()[0] == 401
        assert open_connection.read() == (200, {"status": "ok"})


def test_endless_trailers_are_refused(server: Server) -> None:
    start = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-padding: "
    with connection(server) as open_connection:
        open_connection.send(start.encode())
        assert open_connection.read()[0] == 401
        with suppress(ConnectionError):
            open_connection.send(b"x" * 2_000_000)
            assert open_connection.read()[0] in {431, 0}
