"""Requests about the items of a conversation, for tests."""

from typing import Any

from django.test import Client

from conversations.models import Conversation
from tests.support.people import Person


def items_path(conversation: Conversation, item: str = "") -> str:
    return f"/v1/conversations/{conversation.public_id}/items" + (f"/{item}" if item else "")


def item_page(client: Client, who: Person, conversation: Conversation, query: str = "order=asc") -> Any:
    """Return a page of items; the oldest first, unless the query says otherwise."""
    answer = client.get(f"{items_path(conversation)}?{query}", headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(
    client: Client, who: Person, conversation: Conversation, query: str = "order=asc"
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = item_page(client, who, conversation, query)["data"]
    return rows


def append(client: Client, who: Person, conversation: Conversation, *items: Any, **more: Any) -> Any:
    """Append items, of which a text is a user's message; return the response."""
    sent = [{"role": "user", "content": item} if isinstance(item, str) else item for item in items]
    body = {"items": sent, **more}
    return client.post(items_path(conversation), body, "application/json", headers=who.headers)


def edit(client: Client, who: Person, conversation: Conversation, item: str, content: Any) -> Any:
    body = {"content": content}
    return client.post(items_path(conversation, item), body, "application/json", headers=who.headers)


def delete(client: Client, who: Person, conversation: Conversation, item: str) -> Any:
    return client.delete(items_path(conversation, item), headers=who.headers)


def answered(words: str) -> dict[str, Any]:
    """An answer, as a client adds it."""
    return {"role": "assistant", "content": [{"type": "output_text", "text": words}]}


def words_of(rows: list[dict[str, Any]]) -> list[str]:
    """Return the texts of messages, and the types of other items."""
    return [
        "".join(part.get("text", part["type"]) for part in row["content"])
        if row["type"] == "message"
        else row["type"]
        for row in rows
    ]


def refusal(answer: Any) -> tuple[int, str | None, str | None]:
    """Return a refusal's status, code and param."""
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]
