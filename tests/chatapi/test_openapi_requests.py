"""The requests that the API's document shows, sent to a real server with the ids of real objects."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest

from core.http.examples import (
    ANSWER_ID,
    BOB,
    COMPLETION_ID,
    CONVERSATION_ID,
    FILE_ID,
    KEY_ID,
    MODEL,
    PROJECT_ID,
    QUESTION_ID,
)
from core.ids import format_user_id
from tests.access.actors import ADMIN, APP, KEY, Team
from tests.access.objects import ids_of
from tests.access.rows import IN_THE_TEAM
from tests.support.document_reader import METHODS, DocumentReader, api_document
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import Server

pytestmark = pytest.mark.xdist_group("document")

IN_A_SESSION = {"acceptInvitation", "createProject", "handOverProject"}
REFUSED = {"acceptInvitation": 404}
"""What cannot succeed: nobody was invited with the example's token."""


class ShownRequest(NamedTuple):
    """A request as the document shows it, with the ids of its story."""

    id: str
    method: str
    path: str
    body: Any


def shown_requests() -> Iterator[ShownRequest]:
    """Yield the requests with a JSON body but those of signing in, which is refused with 400 to strangers."""
    reader = DocumentReader(api_document())
    for path, item in api_document()["paths"].items():
        for method in () if path.startswith("/_allauth/") else item.keys() & METHODS:
            if "application/json" in item[method].get("requestBody", {}).get("content", {}):
                for place, _, body in reader.examples_of(item[method]):
                    if place == "the request":
                        yield ShownRequest(item[method]["operationId"], method, path, body)


class Story:
    """A team, to whose key the story of the examples has happened."""

    def __init__(self, client: httpx2.Client) -> None:
        self.team = Team()
        self._client = client
        self._uploaded = self._post("/v1/files", files={"file": encode_picture(quarters())}).json()["id"]
        asked = self._post("/chat/completions", json={"messages": [{"role": "user", "content": "Oslo?"}]})
        conversation, answer = asked.headers["x-conversation-id"], asked.headers["x-message-id"]
        items = self._get(f"/v1/conversations/{conversation}/items")["data"]
        key = ids_of(self.team, "key_id")[IN_THE_TEAM]
        self._names = {
            CONVERSATION_ID: conversation,
            ANSWER_ID: answer,
            QUESTION_ID: items[-1]["id"],
            COMPLETION_ID: asked.headers["x-completion-id"],
            FILE_ID: self._uploaded,
            PROJECT_ID: self.team.project,
            BOB: format_user_id(self.team.user_of(ADMIN).pk),
            KEY_ID: key,
            MODEL: "scripted",
        }
        self._arguments = {
            "conversation_id": CONVERSATION_ID,
            "item_id": QUESTION_ID,
            "completion_id": COMPLETION_ID,
            "file_id": FILE_ID,
            "project_id": PROJECT_ID,
            "user_id": BOB,
            "key_id": KEY_ID,
        }

    def send(self, shown: ShownRequest) -> httpx2.Response:
        headers = self.team.headers(APP if shown.id in IN_A_SESSION else KEY)
        path = re.sub(r"{(\w+)}", lambda argument: self._arguments[argument[1]], shown.path)
        body, path = self._really(json.dumps(shown.body)), self._really(path)
        headers["Content-Type"] = "application/json"
        return self._client.request(shown.method.upper(), path, headers=headers, content=body)

    def _really(self, text: str) -> str:
        for name, real in self._names.items():
            text = text.replace(name, real)
        return text

    def _post(self, path: str, **body: Any) -> httpx2.Response:
        return self._client.post(path, headers=self.team.headers(KEY), **body).raise_for_status()

    def _get(self, path: str) -> Any:
        return self._client.get(path, headers=self.team.headers(KEY)).raise_for_status().json()


def test_each_shown_request_is_answered(server: Server) -> None:
    # at last, since the key is the owner's
    shown = sorted(shown_requests(), key=lambda one: one.id == "handOverProject")
    with server.client() as client:
        story = Story(client)
        for request in shown:
            answer = story.send(request)
            assert answer.status_code == REFUSED.get(request.id, 200), f"{request.id}: {answer.text}"

    assert len(shown) > 25
    assert REFUSED.keys() <= {request.id for request in shown}
