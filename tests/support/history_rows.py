"""History rows as the service would have stored them, for tests that read."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from accounts.models import Workspace
from conversations.asset_holds import hold_files
from conversations.models import Completion, Conversation, Message
from core.blob import Blob
from core.ids import new_id
from engines.messages import Part, TextPart
from media.models import File, Rendition, asset_id, rendition_id
from media.services import StoredFile, register_files, store_bytes
from tests.support.people import Person

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def conversation_of(person: Person, **fields: Any) -> Conversation:
    """Create a conversation that the person's key made."""
    made = {"api_key_id": person.key_id, "created_at": NOON, "updated_at": NOON}
    return Conversation.objects.create(workspace=person.workspace, scope="scope", **{**made, **fields})


def add_message(
    conversation: Conversation, role: str, *parts: Part | str, after: Message | None = None, **fields: Any
) -> Message:
    """Add a message and make it the conversation's head."""
    message = Message.objects.create(
        conversation=conversation,
        parent=after,
        role=role,
        parts=tuple(TextPart(part) if isinstance(part, str) else part for part in parts),  # type: ignore[misc]
        created_at=NOON,
        **fields,
    )
    conversation.head = message
    conversation.message_count += 1
    conversation.save(update_fields=["head", "message_count"])
    return message


def completion_of(person: Person, prompt: Message, state: str = "completed", **fields: Any) -> Completion:
    completion = Completion.objects.create(
        workspace=person.workspace,
        user=person.user,
        conversation=prompt.conversation,
        prompt=prompt,
        dialect="openai",
        model="scripted",
        served_by="scripted",
        state=state,
        created_at=NOON,
        ended_at=None if state == "in_progress" else NOON + timedelta(seconds=2),
        **{"first_answer": new_id(), **fields},
    )
    prompt.conversation.last_completion = completion
    prompt.conversation.save(update_fields=["last_completion"])
    return completion


def create_exchange(person: Person, question: str = "Hello?", answer: str = "Hello.") -> Completion:
    """Create a conversation of one question and its answer. Return the completion."""
    conversation = conversation_of(person, title=question)
    asked = add_message(conversation, "user", question)
    completion = completion_of(person, asked, prompt_tokens=3, completion_tokens=2)
    add_message(
        conversation, "assistant", answer, after=asked, completion=completion, choice=0, finish_reason="stop"
    )
    return completion


def prompt_of(completion: Completion) -> Message:
    return Message.objects.get(pk__in=[completion.prompt_id])


def store_held_file(
    conversation: Conversation, data: bytes, media_type: str, *kinds: str, **facts: Any
) -> Blob:
    """Store a file that the conversation holds, with renditions of these kinds pending."""
    blob = Blob(sha256(data).hexdigest(), media_type, len(data))
    store_bytes(conversation.workspace_id, {blob.sha256: data})
    file = StoredFile(blob, renditions=kinds, **facts)
    hold_files([(conversation.workspace_id, conversation.id, file)])
    return blob


def uploaded(workspace: Workspace, data: bytes, **fields: Any) -> File:
    """Store an uploaded text file; `fields` say whose it is."""
    blob = Blob(sha256(data).hexdigest(), "text/plain", len(data))
    store_bytes(workspace.pk, {blob.sha256: data})
    register_files([(workspace.pk, StoredFile(blob))])
    return File.objects.create(
        workspace=workspace,
        asset_id=asset_id(workspace.pk, blob.sha256),
        filename="a.txt",
        purpose="user_data",
        **fields,
    )


def finish_rendition(conversation: Conversation, blob: Blob, kind: str, **fields: Any) -> None:
    """Record the outcome of a rendition: ready, unless `fields` say otherwise."""
    id = rendition_id(asset_id(conversation.workspace_id, blob.sha256), kind)
    Rendition.objects.filter(id=id).update(**{"state": "ready", **fields})
