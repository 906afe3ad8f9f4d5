"""What surrounds a completion: browser sessions, CORS, request ids, a dead database, other servers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client, override_settings

from chatapi.routing import make_application
from conversations.models import Completion
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, events, text_of, wait_until

# --- a signed-in browser user -----------------------------------------------------------------------


@pytest.fixture
def browser(server: Server, alice: Person) -> Iterator[httpx2.Client]:
    """A browser in which Alice is signed in, with the CSRF token that her page holds."""
    django_client = Client()
    django_client.force_login(alice.user)
    with server.client() as client:
        client.cookies.set(settings.SESSION_COOKIE_NAME, django_client.cookies["sessionid"].value)
        client.cookies.set(settings.CSRF_COOKIE_NAME, "t" * 32)
        yield client


def test_a_browser_user_asks_with_the_csrf_token(browser: httpx2.Client, alice: Person) -> None:
    answered = browser.post(PATHS["native"], json=chat_body("Hi"), headers={"x-csrftoken": "t" * 32})
    assert answered.status_code == 200
    completion = Completion.objects.get()
    assert (completion.workspace, completion.user, completion.api_key) == (alice.workspace, alice.user, None)


def test_a_forged_form_is_forbidden(browser: httpx2.Client) -> None:
    for headers in ({}, {"x-csrftoken": "u" * 32}):
        refused = browser.post(PATHS["native"], json=chat_body("Hi"), headers=headers)
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "csrf_failed"
    assert not Completion.objects.exists()


def test_a_signed_out_browser_is_refused(browser: httpx2.Client) -> None:
    browser.cookies.set(settings.SESSION_COOKIE_NAME, "0" * 32)
    refused = browser.post(PATHS["native"], json=chat_body("Hi"), headers={"x-csrftoken": "t" * 32})
    assert refused.status_code == 401


# --- request ids and CORS ---------------------------------------------------------------------------


def test_every_response_has_a_request_id_of_our_own(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        responses = [client.get(path) for path in ("/livez", "/nowhere", "/v1/models", "/accounts/login/")]
        named = {"x-request-id": "mine"}
        responses += [client.get(path, headers=named) for path in ("/livez", "/v1/models")]
        responses.append(client.post(PATHS["native"], json=chat_body("Hi"), headers=named))
    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == len(responses)
    assert all(id.startswith("req_") for id in ids)


def test_cors_is_off_until_it_is_set(server: Server) -> None:
    with server.client() as client:
        answered = client.get("/livez", headers={"origin": "https://chat.example"})
    assert "access-control-allow-origin" not in answered.headers


async def test_cors_covers_the_endpoint_django_and_refusals(
    transactional_db: None, shared_server: Server
) -> None:
    with override_settings(CHATAPI_CORS_ORIGINS=["https://chat.example"]):
        application = make_application(get_asgi_application(), shared_server.service)
    transport = httpx2.ASGITransport(application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        origin = {"origin": "https://chat.example"}
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        preflight = await client.options(PATHS["native"], headers=origin | asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
        refused = await client.post(PATHS["native"], headers=origin)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://chat.example"
        exposed = refused.headers["access-control-expose-headers"].lower()
        for name in ("x-conversation-id", "retry-after-ms", "x-ratelimit-remaining-tokens"):
            assert name in exposed
        stranger = await client.get("/livez", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


# --- a dead database ---------------------------------------------------------------------------------


@contextmanager
def dead_database() -> Iterator[None]:
    original: Callable[..., Any] = BaseDatabaseWrapper.ensure_connection

    def refuse(self: BaseDatabaseWrapper) -> None:
        raise OperationalError("could not connect to server at 10.1.2.3")

    BaseDatabaseWrapper.ensure_connection = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        BaseDatabaseWrapper.ensure_connection = original  # type: ignore[method-assign]


def test_a_dead_database_is_a_503_and_never_a_401(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        assert client.post(PATHS["openai"], json=chat_body("Hi")).status_code == 200
        with dead_database():
            refused = [
                client.post(PATHS["openai"], json=chat_body("Hi")),
                client.post(
                    PATHS["openai"], json=chat_body("Hi"), headers={"authorization": "Bearer unknown"}
                ),
                client.get("/v1/models"),
                client.get("/v1/conversations"),
                client.get("/healthz"),
            ]
            alive = client.get("/livez")
        assert [response.status_code for response in refused] == [503] * 5
        for response in refused:
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
            assert "10.1.2.3" not in response.text
        assert alive.status_code == 200
        assert client.post(PATHS["openai"], json=chat_body("Hi")).status_code == 200


def test_the_end_of_an_answer_is_kept_until_the_database_is_back(server: Server, alice: Person) -> None:
    with (
        server.client(alice) as client,
        client.stream(
            "POST", PATHS["openai"], json=chat_body("[[slow: 0.05]] [[chunks: 30]]", stream=True)
        ) as response,
    ):
        lines = response.iter_lines()
        next(line for line in lines if "w1" in line)
        with dead_database():
            next(line for line in lines if "w30" in line)
            pump = server.only_pump()
            wait_until(lambda: not pump._engine_is_running)
        rest = list(lines)
    assert "data: [DONE]" in rest
    assert Completion.objects.get().state == "completed"


# --- Daphne ------------------------------------------------------------------------------------------


@pytest.mark.xdist_group("daphne")
def test_daphne_serves_both_dialects_and_the_rest(daphne_url: str, alice: Person) -> None:
    with httpx2.Client(base_url=daphne_url, headers=alice.headers, timeout=20) as client:
        for dialect, path in PATHS.items():
            streamed = client.post(path, json=chat_body("Hello", stream=True))
            assert text_of(events(streamed)) == "You said: Hello", dialect
            assert events(streamed)[-1] == "[DONE]"
        refused = client.post(PATHS["native"], json={"messages": []})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "empty_array")
        assert client.get("/v1/models").status_code == 200
        assert client.get("/healthz").status_code == 200
        with client.stream(
            "POST", PATHS["openai"], json=chat_body("[[slow: 0.05]] [[chunks: 99]]", stream=True)
        ) as left:
            next(line for line in left.iter_lines() if "w2" in line)
    wait_until(lambda: Completion.objects.filter(state="cancelled").exists())
