"""What examples in the API's document have in common: the ids of one small story, and how they are shown.

Alice's workspace is a travel desk. On 1 January 2026 at noon (UTC) the page of her product, which has an API
key, asked what to see in Oslo for the end user `customer-17`.
"""

from typing import Any

from drf_spectacular.utils import OpenApiExample

NOON = 1_767_268_800
"""When the story begins, in seconds since the epoch. The UUIDs in the ids are of their times."""
END_USER = "customer-17"
MODEL = "gpt-5"
ALICE, BOB = "user-17", "user-18"
PROJECT_ID = "proj_01977375f6007a1b8c2d3e4f50617283"
PROJECT_CREATED_AT = 1_749_988_800
KEY_ID = "key_019b126ea6007b2c9d3e4f5061728394"
KEY_CREATED_AT = 1_765_540_800
CONVERSATION_ID = "conv_019b796dd6007c3a8f1e2d3c4b5a6978"
QUESTION_ID = "msg_019b796dd6007d4b9e2f3a4b5c6d7e8e"
ANSWER_ID = "msg_019b796dd6017d4b9e2f3a4b5c6d7e8f"
COMPLETION_ID = "chatcmpl-019b796dd6027e4c9f0a1b2c3d4e5f60"
FILE_ID = "file-019b796ceba07f5d8a1b2c3d4e5f6071"


def shown(
    name: str, value: Any, media_type: str = "application/json", status: str | None = None
) -> OpenApiExample:
    """Return an example of an answer; without a status, of 200."""
    statuses = [status] if status else None
    return OpenApiExample(name, value=value, response_only=True, media_type=media_type, status_codes=statuses)


def sent(name: str, value: Any, media_type: str = "application/json") -> OpenApiExample:
    """Return an example of a request's body."""
    return OpenApiExample(name, value=value, request_only=True, media_type=media_type)


def deleted(id: str, object: str) -> OpenApiExample:
    return shown("What is told of it", {"id": id, "object": object, "deleted": True})


def list_of(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a whole list."""
    return {"object": "list", "data": list(rows)}


def page_of(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a list's only page."""
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
    return {**list_of(*rows), **ends, "has_more": False}
