"""Views that show a stored completion, and cancel a running one."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from chatapi.completions.dialects import DIALECTS
from chatapi.completions.schemas.stored_completion import StoredCompletionSerializer
from chatapi.completions.service import CompletionService
from conversations import selectors
from conversations.api.media_presenter import stored_sound
from conversations.models import Completion
from conversations.running_answers import SCOPE_KEY
from core.exceptions import Conflict, envelope
from core.http.openapi import error_responses
from core.http.views import ApiView
from engines.answers import Answer
from engines.messages import SpokenPart
from media.file_presenter import FilePresenter


class CompletionView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ}

    @extend_schema(
        operation_id="getChatCompletion",
        summary="A completion as answered, with its state",
        tags=["history"],
        responses={200: StoredCompletionSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, completion_id: str) -> Response:
        return Response(_shown(selectors.get_completion(principal_of(request), completion_id)))


class CompletionCancelView(ApiView):
    permissions: ClassVar = {"POST": Permission.COMPLETIONS}

    @extend_schema(
        operation_id="cancelChatCompletion",
        summary="Stop an answer that is being made; one that has ended stays as it is",
        description="Without the permission `history.read` its `choices` are left out.",
        tags=["history"],
        request=None,
        responses={200: StoredCompletionSerializer} | error_responses(401, 404, 409),
    )
    def post(self, request: Request, completion_id: str) -> Response:
        who = principal_of(request)
        completion = selectors.get_completion(who, completion_id)
        completion.stored_conversation.require_writable(who)
        service: CompletionService = request._request.scope[SCOPE_KEY]  # type: ignore[attr-defined]
        service.cancel_from_thread(completion.id)
        stopped = selectors.get_completion(who, completion_id)
        if stopped.state == Completion.State.IN_PROGRESS:
            raise Conflict("Another process makes this answer.", code="made_elsewhere")
        shown = _shown(stopped)
        return Response(shown if who.may(Permission.HISTORY_READ) else {**shown, "choices": []})


def _shown(completion: Completion) -> dict[str, Any]:
    """Show a completion with its sounds."""
    workspace_id, answer = completion.workspace_id, selectors.answer_of(completion)
    body = stored_completion(completion, answer, selectors.read_sounds(workspace_id, answer))
    files = selectors.files_of(workspace_id, completion.stored_conversation.pk, completion.answers.all())
    _add_stored_sounds(body, answer, files)
    return body


def stored_completion(completion: Completion, answer: Answer, sounds: dict[str, bytes]) -> dict[str, Any]:
    """Return the OpenAI object, and beside it the completion's state, metadata, conversation and error."""
    body: dict[str, Any] = msgspec.to_builtins(DIALECTS["openai"].render(answer, sounds))
    failure = selectors.failure_of(completion)
    if failure is not None:
        body |= envelope(failure.message, failure.type, failure.param, failure.code)
    return body | {
        "state": completion.state,
        "metadata": answer.metadata,
        "conversation_id": completion.stored_conversation.public_id,
    }


def _add_stored_sounds(body: dict[str, Any], answer: Answer, files: Mapping[str, FilePresenter]) -> None:
    for choice, choice_body in zip(answer.choices, body["choices"], strict=True):
        for part in choice.message.parts:
            if isinstance(part, SpokenPart):
                choice_body["message"]["audio"] |= stored_sound(part, files)
