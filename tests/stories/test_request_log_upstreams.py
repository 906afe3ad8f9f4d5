"""When a model's server fails, the record of the call, its line and the completion say how."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chatapi.models import RequestRecord
from conversations.models import Completion
from engines.model_spec import ModelSpec
from engines.openai_compatible.errors import error_for_connection
from tests.support.call_log import CallLog
from tests.support.fake_upstream import ABORT, HANG, Answer, FakeUpstream, end, raw, say, status, stream
from tests.support.fake_websites import write_certificate
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body

MODEL = "elsewhere"


@contextmanager
def upstream(server: Server, *answers: Answer, certificate: Path | None = None) -> Iterator[FakeUpstream]:
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    upstream = FakeUpstream(tls)
    upstream.will(*answers)
    server.run(upstream.__aenter__())
    try:
        yield upstream
    finally:
        server.run(upstream.__aexit__(None, None, None))


def recorded_failure(
    server: Server, who: Person, log: CallLog, base_url: str, *, streamed: bool = False, **spec: Any
) -> tuple[int, str, str]:
    """Call a model whose server is at this address; return status, code, and how the server failed."""
    spec = {"retries": 0, "price": "free", **spec}
    model = ModelSpec(id=MODEL, engine="openai_compatible", base_url=base_url, **spec)
    body = chat_body("Hello", model=MODEL, stream=streamed)
    with server.with_model(model), server.client(who) as client:
        answer = client.post(PATHS["openai"], json=body)
    row: RequestRecord = log.row(answer)
    assert log.line(answer).get("upstream_failure", "") == row.upstream_failure
    stored = Completion.objects.get().error
    assert (stored["upstream_failure"] if stored else "") == row.upstream_failure
    if answer.is_error:
        assert "127.0.0.1" not in answer.text
        assert "invalid" not in answer.json()["error"]["message"]
    return answer.status_code, row.code, row.upstream_failure


def test_its_name_does_not_resolve(server: Server, alice: Person, recorded: CallLog) -> None:
    found = recorded_failure(server, alice, recorded, "http://nowhere.invalid/v1")
    assert found == (503, "upstream_unreachable", "dns")


def test_nobody_listens_there(server: Server, alice: Person, recorded: CallLog) -> None:
    with upstream(server) as gone:
        address = gone.base_url
    found = recorded_failure(server, alice, recorded, address)
    assert found == (503, "upstream_unreachable", "refused")


def test_its_certificate_is_for_nobody(
    server: Server, alice: Person, recorded: CallLog, tmp_path: Path
) -> None:
    certificate = write_certificate(tmp_path, "somebody.example")
    with upstream(server, status(200), certificate=certificate) as untrusted:
        address = untrusted.base_url.replace("http:", "https:")
        found = recorded_failure(server, alice, recorded, address)
    assert found == (503, "upstream_unreachable", "tls")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(500), (500, "upstream_error", "status")),
        (
            status(429, {"message": "Slow down.", "code": "rate_limit_exceeded"}),
            (429, "rate_limit_exceeded", "status"),
        ),
        (status(401), (502, "upstream_authentication", "status")),
        (status(400, {"message": "No.", "code": "unheard_of"}), (400, "upstream_error", "status")),
        (stream({"error": {"message": "Out of memory."}}), (502, "upstream_error", "status")),
        (raw(HANG), (504, "upstream_timeout", "timeout")),
        (raw(ABORT), (503, "upstream_unreachable", "broken_off")),
        (raw(b"<html>", content_type="text/html"), (502, "upstream_error", "invalid_answer")),
        (raw(b"data: ?\n\n"), (502, "upstream_error", "invalid_answer")),
    ],
)
def test_how_it_answers(
    server: Server, alice: Person, recorded: CallLog, answer: Answer, expected: tuple[int, str, str]
) -> None:
    with upstream(server, answer) as failing:
        found = recorded_failure(
            server, alice, recorded, failing.base_url, streamed=True, first_event_timeout=0.5
        )
    assert found == expected


def test_it_breaks_off_in_the_middle_of_a_stream(server: Server, alice: Person, recorded: CallLog) -> None:
    with upstream(server, stream(say("Hm"), done=False)) as failing:
        found = recorded_failure(server, alice, recorded, failing.base_url, streamed=True)
    assert found == (200, "upstream_incomplete", "broken_off")


def test_the_fallback_fails_too_and_is_what_is_told(server: Server, alice: Person, recorded: CallLog) -> None:
    with upstream(server, status(503)) as failing:
        other = ModelSpec(
            id="other", engine="openai_compatible", base_url=failing.base_url, retries=0, price="free"
        )
        with server.with_model(other):
            found = recorded_failure(
                server, alice, recorded, "http://nowhere.invalid/v1", fallbacks=("other",)
            )
    assert found == (503, "upstream_error", "status")


def test_a_fallback_answers_and_the_log_says_why(
    server: Server, alice: Person, recorded: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    with upstream(server, stream(say("Hm"), end())) as helping:
        other = ModelSpec(
            id="other", engine="openai_compatible", base_url=helping.base_url, retries=0, price="free"
        )
        with server.with_model(other):
            found = recorded_failure(
                server, alice, recorded, "http://nowhere.invalid/v1", streamed=True, fallbacks=("other",)
            )
    assert found == (200, "", "")
    assert "Model elsewhere failed (dns: " in caplog.text


async def test_a_proxy_refuses() -> None:
    """The engine uses none of its own; what is before it in a network may come in one day."""
    async with FakeUpstream() as gone:
        proxy = f"http://127.0.0.1:{gone.port}"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as refused:
            await session.get("http://127.0.0.1:9/", proxy=proxy)
    assert error_for_connection(refused.value).upstream_failure == "proxy"
