"""The search as its callers use it."""

from typing import Any

from django.test import Client

from conversations.search.indexing import index_marked
from tests.support.people import Person


class Search:
    """A caller's search: of a key or a token, or in a browser."""

    def __init__(self, who: Person | str | Client, workspace: str | None = None) -> None:
        self._client = who if isinstance(who, Client) else Client()
        self._headers = {} if workspace is None else {"X-Workspace-Id": workspace}
        if not isinstance(who, Client):
            self._headers["Authorization"] = f"Bearer {who if isinstance(who, str) else who.key}"

    def get(self, q: str | None, /, **query: Any) -> Any:
        parameters = query if q is None else {"q": q, **query}
        return self._client.get("/v1/search", parameters, headers=self._headers)

    def page(self, q: str, /, **query: Any) -> dict[str, Any]:
        answer = self.get(q, **query)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        return page

    def hits(self, q: str, /, **query: Any) -> list[dict[str, Any]]:
        """Return all hits, of one page after the other."""
        hits: list[dict[str, Any]] = []
        while True:
            page = self.page(q, **query)
            hits += page["data"]
            if not page["has_more"]:
                assert page["next_cursor"] is None
                return hits
            query["after"] = page["next_cursor"]

    def texts(self, q: str, /, **query: Any) -> list[str]:
        """Return the first snippet of each hit."""
        return [snippet_of(hit["matches"][0]) for hit in self.hits(q, **query)]


def snippet_of(match: dict[str, Any]) -> str:
    return "".join(f"[{piece['text']}]" if piece["hit"] else piece["text"] for piece in match["snippet"])


def index_all() -> None:
    """Have all that is marked indexed, as the task does."""
    while index_marked(seconds=5):
        pass
