"""What the API's document says as a whole: its introduction, its tags, and what all refusals look like."""

from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings

from core.http.openapi import REFUSALS

INTRODUCTION = Path(__file__).with_name("openapi_introduction.md")
TAGS = {
    "chat": (
        "Answers, streamed or whole, in two dialects: the service's own at `/chat/completions`, "
        "and OpenAI's at `/v1/chat/completions`. Both take the same parameters but for few: the "
        "guide on [parameters](/docs/guides/parameters.md) says of each what becomes of it. The "
        "native dialect streams unless `stream` is false, leaves out what there is none of, and "
        "sends each of several tool calls as a choice of its own; it also speaks NDJSON. How a "
        "stream goes is said at the top, at Streams."
    ),
    "history": (
        "What was said: conversations with their items, and stored completions with feedback, in "
        "the shapes of OpenAI's SDKs. The guide on "
        "[frontends](/docs/guides/frontends.md#build-a-chat) builds a chat on it."
    ),
    "requests": "What became of calls, by the `x-request-id` that each response has.",
    "files": (
        "Uploads, which messages name by their ids, and what was made of them: formats to play, "
        "thumbnails, transcripts. See the guide on [media](/docs/guides/media.md)."
    ),
    "audio": (
        "Speech, transcripts and translations, as OpenAI has them, and the voices. Nothing of them is kept."
    ),
    "models": "The models that can be asked.",
    "me": "Who the caller is, and what a person may do with their own account and data.",
    "organization": (
        "Workspaces, members and invitations, in the shapes of OpenAI's administration API: its "
        "organization is the workspace that the request acts in, its projects are workspaces. See "
        "the guide on [workspaces](/docs/guides/workspaces.md)."
    ),
    "keys": (
        "API keys: made, changed, rolled and revoked by who manages the workspace. See the guide "
        "on [workspaces](/docs/guides/workspaces.md#keys)."
    ),
    "end-user tokens": (
        "What a page of your own product may hold: your server makes one for each end user, for "
        "minutes and within a spending limit. See the guide on "
        "[workspaces](/docs/guides/workspaces.md#end-user-tokens)."
    ),
    "billing": (
        "Balance, transactions and statements of the workspace, and what was used and cost, in "
        "OpenAI's shapes. See the guide on [billing](/docs/guides/billing.md)."
    ),
    "health": "For load balancers and supervisors; without a key.",
    "sign-in": (
        "How people sign in, sign up and manage how they do it: the API of "
        "[django-allauth](https://docs.allauth.org/en/latest/headless/). `{client}` is `browser` "
        "for pages of the service's own origin, which a cookie and `X-CSRFToken` identify, and "
        "`app` for all others, which send `X-Session-Token`. The guide on "
        "[frontends](/docs/guides/frontends.md#sign-in) says what its answers mean."
    ),
}
_MEGABYTE = 1024 * 1024


def add_texts(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add the introduction, the tags, and an example of each refusal; a postprocessing hook."""
    result["info"]["description"] = introduction()
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    _describe_alternatives(result["components"]["schemas"])
    result["components"]["examples"] = {
        f"Refusal{status}": {"summary": meaning, "value": error.envelope}
        for status, (meaning, error) in REFUSALS.items()
    }
    for item in result["paths"].values():
        for operation in item.values():
            _show_refusals(operation["responses"])
    return result


def introduction() -> str:
    """Return the text that the document begins with, in Markdown, with this service's own limits."""
    return Template(INTRODUCTION.read_text("utf-8")).substitute(
        keep_alive=settings.CHATAPI_KEEP_ALIVE_SECONDS,
        max_body=settings.CHATAPI_MAX_BODY_BYTES // _MEGABYTE,
        max_upload=settings.CHATAPI_MAX_UPLOAD_BYTES // _MEGABYTE,
        max_other=settings.DATA_UPLOAD_MAX_MEMORY_SIZE // _MEGABYTE,
    )


def _describe_alternatives(schemas: dict[str, Any]) -> None:
    """Describe components that are one of several, which the generator cannot."""
    for schema in schemas.values():
        if "oneOf" in schema and "description" not in schema:
            names = [f"`{one['$ref'].rpartition('/')[2]}`" for one in schema["oneOf"] if "$ref" in one]
            by = (
                f", told apart by `{schema['discriminator']['propertyName']}`"
                if "discriminator" in schema
                else ""
            )
            schema["description"] = f"One of {', '.join(names)}{by}."


def _show_refusals(responses: dict[str, Any]) -> None:
    for status, answer in responses.items():
        content = answer.get("content", {}).get("application/json", {})
        if status.isdigit() and int(status) in REFUSALS and "Error" in str(content.get("schema")):
            content["examples"] = {"Refusal": {"$ref": f"#/components/examples/Refusal{status}"}}
