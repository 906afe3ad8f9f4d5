"""Requests to switch the protocol, whose bodies are requests themselves."""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import msgspec

from tests.attacks.checks import check_all
from tests.attacks.stage import Stage, request_body
from tests.support.people import Person

INNER = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
"""What is hidden in a body; two answers mean that it was taken for a request."""
QUIET = 0.4
"""Seconds of silence after an answer that show that no second one follows."""
PATIENCE = 20.0
"""Seconds within which all answers are whole."""
H2C = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2_Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
}
UPGRADES = {
    "h2c": H2C,
    "h2c alone": {"Connection": "Upgrade", "Upgrade": "h2c"},
    "TLS": {"Connection": "Upgrade", "Upgrade": "TLS/1.0"},
    "websocket": {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Version": "13",
    },
}
FORM = (
    b"--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nuser_data\r\n"
    b"--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\n" + INNER + b"\r\n--x--\r\n"
)


class Sent(NamedTuple):
    """A request whose `rest` is still to be sent, and the status that it must get."""

    name: str
    status: int
    connection: socket.socket
    rest: bytes = b""


def smuggled_requests(stage: Stage) -> None:
    """Send requests past a proxy's rules: as the body of one that asks to switch the protocol."""
    who = stage.newcomer()
    with ExitStack() as stack:
        sent = list(_requests(stage, who))
        for request in sent:
            stack.enter_context(request.connection)
        time.sleep(0.1)
        for request in sent:
            request.connection.sendall(request.rest)
        problems = _misunderstood(sent)
    check_all(problems)


def upgrades_without_a_body(stage: Stage) -> None:
    """Block a connection with a GET that asks for HTTP/2, as curl does."""
    with stage.server.connect() as connection:
        connection.sendall(
            b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
        check_all(_misunderstood([Sent("h2c", 200, connection)]))


def _requests(stage: Stage, who: Person) -> Iterator[Sent]:
    send, key, path = stage.server.send, who.key, "/v1/chat/completions"
    good = msgspec.json.encode(request_body("Hello", model="free"))
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)
    for name, upgrade in UPGRADES.items():
        later: dict[str, Any] = {**upgrade, "Content_Length": ""}
        yield Sent(f"{name}, a request as body", 400, send(path, key, INNER, **upgrade))
        whole = {**later, "Content_Length": str(len(INNER))}
        yield Sent(f"{name}, a request as body, later", 400, send(path, key, b"", **whole), INNER)
        yield Sent(f"{name}, an honest body", 200, send(path, key, good, **upgrade))
        streamed = {**later, "Transfer_Encoding": "chunked"}
        yield Sent(f"{name}, chunked", 400, send(path, key, chunked, **streamed))
        yield Sent(f"{name}, chunked, later", 400, send(path, key, b"", **streamed), chunked)
        form = {**upgrade, "Content_Type": "multipart/form-data; boundary=x"}
        yield Sent(f"{name}, a form", 200, send("/v1/files", key, FORM, **form))


def _misunderstood(sent: Sequence[Sent]) -> dict[str, str | None]:
    """What came of each instead of the one answer with its status, on a connection that stays usable."""
    problems: dict[str, str | None] = {}
    answers = _read_answers(sent)
    for request, came in zip(sent, _read_more(sent, answers), strict=True):
        statuses = [line[9:12].decode() for line in came.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        if statuses != [str(request.status)]:
            problems[request.name] = f"answered with {statuses} and not once with {request.status}"
    understood = [request for request in sent if request.name not in problems]
    for request in understood:
        with suppress(OSError):
            request.connection.sendall(INNER)
    for request, came in zip(understood, _read_answers(understood), strict=True):
        is_usable = came.startswith(b"HTTP/1.1 200 ")
        problems[request.name] = None if is_usable else f"the connection is lost: {came[:60]!r}"
    return problems


def _read_answers(sent: Sequence[Sent]) -> list[bytes]:
    """One whole answer from each connection, or what came of it in time, and what else came with it."""
    deadline = time.monotonic() + PATIENCE
    return [_read_answer(request.connection, deadline) for request in sent]


def _read_answer(connection: socket.socket, deadline: float) -> bytes:
    came = b""
    with suppress(OSError):
        while not _is_whole(came):
            connection.settimeout(max(deadline - time.monotonic(), 0.01))
            if not (data := connection.recv(65536)):
                break
            came += data
    return came


def _is_whole(answer: bytes) -> bool:
    """Tell whether an answer is there with its last byte; without a length it has no body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        return b"\r\n0\r\n\r\n" in b"\r\n" + body
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def _read_more(sent: Sequence[Sent], answers: Sequence[bytes]) -> list[bytes]:
    """The answers, each with all that follows it until nothing comes any more."""
    return [
        answer + _read_rest(request.connection, QUIET if at == 0 else 0.01)
        for at, (request, answer) in enumerate(zip(sent, answers, strict=True))
    ]


def _read_rest(connection: socket.socket, quiet: float) -> bytes:
    came = b""
    connection.settimeout(quiet)
    with suppress(OSError):
        while data := connection.recv(65536):
            came += data
    return came
