"""Every error that Django returns has the same JSON envelope."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings
from rest_framework import exceptions as drf
from rest_framework.request import Request

from accounts.models import User
from chatapi.urls import handler400, handler403, handler404, handler500, urlpatterns
from core.exceptions import RateLimited
from core.http.views import PublicView
from tests.support.people import Person

__all__ = ["handler400", "handler403", "handler404", "handler500"]

SECRET = "postgres://user:hunter2@10.0.0.1/db SELECT * FROM accounts_user"

RAISED: dict[str, Callable[[], BaseException]] = {
    "denied": PermissionDenied,
    "suspicious": lambda: SuspiciousOperation(SECRET),
    "operational": lambda: OperationalError(SECRET),
    "interface": lambda: InterfaceError(SECRET),
    "unknown": lambda: RuntimeError(SECRET),
    "parse": drf.ParseError,
    "media": lambda: drf.UnsupportedMediaType("text/plain"),
    "throttled": lambda: drf.Throttled(wait=7.2),
    "failed": lambda: drf.AuthenticationFailed(SECRET),
    "limited": lambda: RateLimited("Slow down.", retry_after=3),
}
STATUSES = {
    "denied": (403, "permission_denied"),
    "suspicious": (400, "invalid_value"),
    "operational": (503, "database"),
    "interface": (503, "database"),
    "unknown": (500, "internal_error"),
    "parse": (400, "invalid_value"),
    "media": (415, "invalid_value"),
    "throttled": (429, "rate_limit_exceeded"),
    "failed": (401, "invalid_api_key"),
    "limited": (429, "rate_limit_exceeded"),
}


class Raising(PublicView):
    def get(self, request: Request, name: str) -> NoReturn:
        raise RAISED[name]()


def raising(request: HttpRequest, name: str) -> NoReturn:
    raise RAISED[name]()


def bare(request: HttpRequest, status: int) -> HttpResponse:
    return HttpResponse("<h1>Oops</h1>", status=status, headers={"Retry-After": "9"})


urlpatterns = [
    path("api/<str:name>", Raising.as_view()),
    path("django/<str:name>", raising),
    path("bare/<int:status>", bare),
    *urlpatterns,
]


@pytest.fixture(params=[False, True], ids=["production", "debug"])
def visitor(request: pytest.FixtureRequest, settings: Settings) -> Client:
    settings.DEBUG = request.param
    return Client(raise_request_exception=False)


def error_of(answer: Any) -> dict[str, Any]:
    """Return the error in the envelope, which must have all four keys and reveal no secret."""
    assert answer["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert "hunter2" not in answer.text
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.urls("tests.chatapi.test_error_envelope")
@pytest.mark.parametrize("kind", ["api", "django"])
@pytest.mark.parametrize("name", RAISED)
def test_an_exception_becomes_its_status(kind: str, name: str, visitor: Client) -> None:
    answer = visitor.get(f"/{kind}/{name}")

    assert (answer.status_code, error_of(answer)["code"]) == STATUSES[name]


@pytest.mark.urls("tests.chatapi.test_error_envelope")
@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("operational", "retry-after", "2"),
        ("throttled", "retry-after", "8"),
        ("limited", "retry-after", "3"),
        ("failed", "www-authenticate", "Bearer"),
    ],
)
def test_a_refusal_has_its_headers(name: str, header: str, value: str, visitor: Client) -> None:
    assert visitor.get(f"/api/{name}")[header] == value


@pytest.mark.urls("tests.chatapi.test_error_envelope")
def test_an_unknown_exception_is_logged_with_its_traceback(
    visitor: Client, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.get("/api/unknown")

    assert any(record.exc_info and record.exc_info[0] is RuntimeError for record in caplog.records)


@pytest.mark.urls("tests.chatapi.test_error_envelope")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 500, 502, 503])
def test_an_error_page_from_elsewhere_is_replaced(status: int, visitor: Client) -> None:
    answer = visitor.get(f"/bare/{status}")

    assert answer.status_code == status
    assert error_of(answer)["message"] != "Oops"
    assert answer["retry-after"] == "9"


@pytest.mark.parametrize(
    "address",
    [
        "/nothing",
        "/v1/",
        "/v1/conversations/",
        "/healthz/",
        "/openapi.json/",
        "/v1/models/",
        "/static/nothing.css",
        "/%00",
        "/admin/nothing/",
        "/../etc/passwd",
    ],
)
def test_unknown_addresses_are_not_found(address: str, visitor: Client, db: None) -> None:
    answer = visitor.get(address)

    if answer.status_code == 302:  # the admin asks for a sign-in before it says what does not exist
        assert answer["location"].startswith("/admin/login/")
    else:
        assert answer.status_code == 404
        assert error_of(answer)["code"] == "not_found"


def test_a_signed_in_reviewer_gets_the_same_404(visitor: Client, alice: Person) -> None:
    alice.user.is_staff = True
    alice.user.save()
    visitor.force_login(alice.user)

    answer = visitor.get("/admin/nothing/")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "address", ["/healthz", "/livez", "/openapi.json", "/docs", "/v1/models", "/v1/audio/voices"]
)
def test_a_wrong_method_is_told_the_right_ones(address: str, visitor: Client, alice: Person) -> None:
    answer = visitor.post(address, "{}", content_type="application/json", headers=alice.headers)

    assert answer.status_code == 405
    assert answer["allow"] == "GET, HEAD, OPTIONS"
    assert error_of(answer)["code"] == "method_not_allowed"
    assert "GET, HEAD, OPTIONS" in error_of(answer)["message"]


def test_options_and_head_are_plain(alice: Person, client: Client) -> None:
    options = client.options("/v1/models")
    head = client.head("/v1/models", headers=alice.headers)

    assert (options.status_code, options.content, options["allow"]) == (200, b"", "GET, HEAD, OPTIONS")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "application/xml", "nonsense"])
def test_accept_is_not_negotiated(accept: str, alice: Person, client: Client) -> None:
    answer = client.get("/v1/models?format=xml", headers={**alice.headers, "Accept": accept})

    assert (answer.status_code, answer["content-type"]) == (200, "application/json")


def test_a_host_that_is_not_served(visitor: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["chat.example.com"]

    answer = visitor.get("/admin/", headers={"host": "evil.example.com"})

    assert answer.status_code == 400
    assert error_of(answer)["type"] == "invalid_request_error"


def test_a_form_without_its_token(settings: Settings, db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "a", "password": "b"})

    assert (answer.status_code, error_of(answer)["code"]) == (403, "csrf_failed")


def test_a_body_over_the_limit(settings: Settings, db: None) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    browser = Client(enforce_csrf_checks=True)
    browser.get("/accounts/login/")

    body = "login=" + "a" * 200
    answer = browser.post("/accounts/login/", body, content_type="application/x-www-form-urlencoded")

    assert (answer.status_code, error_of(answer)["code"]) == (413, "body_too_large")


@contextmanager
def dead_database() -> Iterator[None]:
    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> NoReturn:
        raise OperationalError(SECRET)

    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.parametrize(
    "address", ["/v1/conversations", "/v1/chat/completions/chatcmpl-" + "0" * 32, "/healthz"]
)
def test_a_dead_database_is_503_and_never_401(address: str, visitor: Client, alice: Person) -> None:
    with dead_database():
        answer = visitor.get(address, headers=alice.headers)

    assert (answer.status_code, error_of(answer)["code"]) == (503, "database")
    assert answer["retry-after"] == "2"


def test_the_admin_without_a_database(visitor: Client, alice: Person) -> None:
    visitor.force_login(alice.user)
    with dead_database():
        answer = visitor.get("/admin/")

    assert (answer.status_code, error_of(answer)["code"]) == (503, "database")


def test_the_process_lives_without_a_database(client: Client, alice: Person) -> None:
    with dead_database():
        assert client.get("/livez").json() == {"status": "ok"}


# --- pages for people ---------------------------------------------------------------------------------

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("address", ["/accounts/nowhere/", "/admin/nowhere/"])
def test_a_person_sees_a_page_where_a_program_sees_the_envelope(address: str, db: None) -> None:
    person = Client()
    person.force_login(User.objects.create_superuser("root@example.com"))

    page = person.get(address, headers=BROWSER)

    assert (page.status_code, page["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Not found</h1>" in page.text
    assert "There is nothing at this address." in page.text
    assert error_of(person.get(address))["code"] == "not_found"


def test_the_api_answers_a_browser_with_the_envelope_too(client: Client, db: None) -> None:
    assert error_of(client.get("/v1/nowhere", headers=BROWSER))["code"] == "not_found"


def test_a_person_without_a_csrf_token_reads_what_is_wrong(db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "a"}, headers=BROWSER)

    assert answer.status_code == 403
    assert "The CSRF check failed" in answer.text


def test_the_page_of_an_error_needs_no_database(visitor: Client, alice: Person) -> None:
    visitor.force_login(alice.user)
    with dead_database():
        page = visitor.get("/accounts/", headers=BROWSER)

    assert (page.status_code, page["retry-after"]) == (503, "2")
    assert "The database does not answer. Try again." in page.text


def test_who_is_no_staff_is_told_so_at_the_admin_site(alice: Person) -> None:
    person = Client()
    person.force_login(alice.user)

    page = person.get("/admin/", follow=True, headers=BROWSER)

    assert page.status_code == 403
    assert "You may not do this." in page.text
