"""Who is let in by the endpoints beside Django, over a real server: see `rows.py`."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from asgiref.sync import async_to_sync
from channels.routing import URLRouter
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chatapi.models import DataExport
from media.models import File
from media.signed_urls import media_url
from media.storage.operations import save_file
from tests.access.actors import (
    ACTORS,
    ANONYMOUS,
    APP,
    FORGED,
    KEY,
    MEMBER,
    OUTSIDE,
    PEOPLE,
    REVIEWER,
    STRANGER,
    STRANGERS_KEY,
    STRANGERS_TOKEN,
    TOKEN,
    Team,
)
from tests.access.objects import ids_of
from tests.access.routes import inner, protocols
from tests.access.rows import ASGI, PUBLIC, SHARED, Row
from tests.access.verdicts import (
    Refusals,
    Target,
    asked_about,
    expected,
    is_strangers_own,
    keys_with_other_scopes,
    targets,
)
from tests.support.running_server import Server

ASKED_FOR_HEAD = (KEY, TOKEN, REVIEWER, STRANGER, ANONYMOUS)
TO_CONTENT = ["GET /v1/files/<str:file_id>/content", "GET /v1/me/exports/<str:export_id>/content"]


class Browser:
    """Sends requests to the server as somebody. People have their sessions in apps, but for the forged."""

    def __init__(self, team: Team, client: httpx2.Client) -> None:
        self._team = team
        self._client = client

    def ask(self, actor: str, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = headers_of(self._team, actor)
        if actor == FORGED:
            headers["Cookie"] = f"sessionid={self._team.session_key(actor)}"
        return self._client.request(method, path, headers=headers, json=body)


def headers_of(team: Team, actor: str) -> dict[str, str]:
    headers = team.headers(actor)
    if actor in (*PEOPLE, STRANGER, *OUTSIDE) and actor != FORGED:
        headers["X-Session-Token"] = team.session_key(actor)
    return headers


def objects_with_content(team: Team, pattern: str, folder: Path) -> list[Target]:
    found = targets(team, pattern)
    content = folder / "export.zip"
    content.write_bytes(b"PK")
    DataExport.objects.update(state=DataExport.State.READY, size=2)
    for export in DataExport.objects.all():
        save_file(export.storage_name, content)
    return found


@pytest.mark.parametrize("route", [route for route, row in ASGI.items() if row.needs != PUBLIC])
def test_who_is_let_in(server: Server, route: str, tmp_path: Path) -> None:
    team, row, (method, pattern) = Team(), ASGI[route], route.split()
    found, refusals = objects_with_content(team, pattern, tmp_path), Refusals()
    actors = [*ACTORS, *keys_with_other_scopes(team, row)]
    with server.client() as client:
        browser = Browser(team, client)
        for actor in actors:
            for target in asked_about(row, method, actor, found):
                if not is_strangers_own(actor, target):
                    check(browser, row, method, actor, target, refusals)


def check(browser: Browser, row: Row, method: str, actor: str, target: Target, refusals: Refusals) -> None:
    answer = browser.ask(actor, method, target.path, row.body)
    statuses, code = expected(row, method, actor, target)
    seen = f"{actor}: {method} {target.path} ({target.what}) → {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, seen
    assert code is None or answer.json()["error"]["code"] == code, seen
    if answer.status_code in (401, 403, 404):
        refusals.compare(actor, target, (answer.status_code, answer.text))
    if method == "GET" and actor in ASKED_FOR_HEAD:
        head = browser.ask(actor, "HEAD", target.path)
        assert (head.status_code, head.text) == (answer.status_code, ""), f"HEAD by {seen}"


def test_a_signed_address_is_for_anybody_and_any_other_for_nobody(server: Server) -> None:
    team = Team()
    id = ids_of(team, "file_id")[SHARED]
    file = next(file for file in File.objects.select_related("asset") if file.public_id == id)
    signed = media_url(file.workspace_id, file.asset.sha256, holder=file.id)
    with server.client() as client:
        browser = Browser(team, client)
        for actor in ACTORS:
            assert browser.ask(actor, "GET", signed).status_code == 200, actor
            for other in (signed[:-1] + ("a" if signed[-1] != "a" else "b"), "/media/never", "/media/" + id):
                assert browser.ask(actor, "GET", other).status_code == 404, actor


@pytest.mark.parametrize("route", TO_CONTENT)
def test_what_is_anothers_costs_as_many_queries_as_what_never_was(transactional_db: None, route: str) -> None:
    team, row, (method, pattern) = Team(), ASGI[route], route.split()
    found = targets(team, pattern)
    for actor in (MEMBER, KEY, TOKEN, STRANGER, STRANGERS_KEY, STRANGERS_TOKEN, REVIEWER, APP):
        refusals = Refusals()
        for target in found:
            statuses, _ = expected(row, method, actor, target)
            if statuses[0] in (403, 404) and not is_strangers_own(actor, target):
                words = direct(team, actor, pattern, target)
                assert words[2] or actor not in PEOPLE
                refusals.compare(actor, target, words)


def direct(team: Team, actor: str, pattern: str, target: Target) -> tuple[Any, ...]:
    """Ask a new endpoint, which remembers no caller; return status, body and number of queries."""
    sent: list[Any] = []
    headers = [(name.lower().encode(), value.encode()) for name, value in headers_of(team, actor).items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": target.path,
        "query_string": b"",
        "headers": headers,
    }

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        await inner(protocols()["http"], URLRouter)(scope, receive, send)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    with CaptureQueriesContext(connection) as queries:
        async_to_sync(ask)()
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]), len(queries)
