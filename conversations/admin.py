"""The history in the admin site: for viewing, searching and filtering; nobody edits it."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, get_args

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from conversations.asset_holds import hold_id
from conversations.completion_request import DialectName
from conversations.deletion import delete_conversations, history_counts
from conversations.models import Completion, Conversation, Message
from conversations.selectors import blobs_in
from conversations.thread_layout import lay_out_thread, present_part
from core.admin import FixedFilter, MadeFilter, ReadOnlyAdmin, link_column, link_to
from core.admin_rights import may_view
from core.ids import COMPLETION, CONVERSATION, MESSAGE
from engines.events import FinishReason
from engines.models_file import ModelsFileError
from engines.served_models import current_registry
from media.admin import FILES_WITHHELD
from media.file_presenter import present_files
from media.models import Asset

MAX_INDENT = 8
"""The deepest of the indents in conversations/admin.css."""
MESSAGES_WITHHELD = "Messages are shown to those who may view messages."
COMPLETIONS_WITHHELD = "Completions are shown to those who may view completions."


class ThreadStyle:
    css: ClassVar = {"all": ("media/admin.css", "conversations/admin.css")}


class DeletedFilter(FixedFilter):
    """Those that were deleted and can still be restored, or those that were not."""

    title = "deleted"
    parameter_name = "deleted"
    values = ("yes", "no")

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(deleted_at__isnull=value != "yes") if value in self.values else rows.none()


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    Media = ThreadStyle
    id_prefix = CONVERSATION
    shown_messages = 500
    list_display = (
        "__str__",
        "workspace",
        "end_user",
        "message_count",
        "is_there",
        "created_at",
        "updated_at",
    )
    list_filter = (DeletedFilter, MadeFilter, "updated_at")
    list_select_related = ("workspace",)
    search_fields = ("title", "end_user", "workspace__name")
    search_help_text = "Title, end user, workspace, or conv_… id"
    fields = (
        "public_id",
        "title",
        "workspace",
        "api_key",
        "user",
        "end_user",
        "metadata",
        "created_at",
        "updated_at",
        "deleted_at",
        "thread",
    )
    readonly_fields = ("public_id", "thread")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Return counts; Django's tree has a level per message and asks for the right to delete each."""
        conversations = Conversation.objects.filter(pk__in=[conversation.pk for conversation in objs])
        return [link_to(conversation) for conversation in objs], history_counts(conversations), set(), []

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        delete_conversations(Conversation.objects.filter(pk=obj.pk))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        conversations: QuerySet[Conversation] = super().get_queryset(request)
        return conversations.defer("metadata")

    @admin.display(description="there", boolean=True, ordering="deleted_at")
    def is_there(self, conversation: Conversation) -> bool:
        """Mark with a cross what was deleted and can still be restored."""
        return conversation.deleted_at is None

    @admin.display(description="thread")
    def thread(self, conversation: Conversation) -> str:
        if not may_view(Message):
            return MESSAGES_WITHHELD
        newest = Message.objects.filter(conversation=conversation).defer("logprobs").order_by("-pk")
        messages = list(newest[: self.shown_messages])[::-1]
        completions = _completions_that_answer(messages)
        files = _files_in(conversation, messages)
        lines = [
            {
                "message": line.message,
                "depth": line.depth,
                "indent": min(line.depth, MAX_INDENT),
                "starts_branch": line.starts_branch,
                "completions": line.completions,
                "parts": [present_part(part, files) for part in line.message.parts],
            }
            for line in lay_out_thread(messages, completions, conversation.head_id)
        ]
        shown = sum(message.emptied_at is None for message in messages)
        hidden = max(conversation.message_count - shown, 0)
        url = reverse("admin:conversations_message_changelist")
        all_messages = f"{url}?conversation__id__exact={conversation.pk}"
        withheld = [*_withheld_files(messages), *([] if may_view(Completion) else [COMPLETIONS_WITHHELD])]
        return render_to_string(
            "conversations/admin/thread.html",
            {"lines": lines, "hidden": hidden, "all_messages": all_messages, "withheld": withheld},
        )


def _completions_that_answer(messages: list[Message]) -> list[Completion]:
    if not messages or not may_view(Completion):
        return []
    conversation_id = messages[0].conversation_id
    answering = Completion.objects.filter(conversation=conversation_id, prompt__in=messages)
    return list(answering.defer("request").order_by("pk"))


def _files_in(conversation: Conversation, messages: list[Message]) -> Mapping[str, Any] | None:
    """Return the files that are still kept, by SHA-256; None to those who may not view them."""
    if not may_view(Asset):
        return None
    return present_files(conversation.workspace_id, blobs_in(messages), partial(hold_id, conversation.id))


def _withheld_files(messages: list[Message]) -> list[str]:
    return [] if may_view(Asset) or not any(blobs_in(messages)) else [FILES_WITHHELD]


class FinishFilter(FixedFilter):
    title = "finish reason"
    parameter_name = "finish_reason"
    values = get_args(FinishReason)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    Media = ThreadStyle
    id_prefix = MESSAGE
    list_display = ("public_id", "role", "conversation", "finish_reason", "created_at")
    list_filter = ("role", FinishFilter, MadeFilter)
    list_select_related = ("conversation",)
    search_fields = ("tool_call_id__exact",)
    searched = Q(role=Message.Role.TOOL)  # they have an index: to look through a million rows takes a second
    search_help_text = "Tool call id, or msg_… id"
    fields = (
        "public_id",
        "in_conversation",
        "after",
        "role",
        "name",
        "tool_call_id",
        "content",
        "by",
        "choice",
        "finish_reason",
        "logprobs",
        "created_at",
    )
    readonly_fields = ("public_id", "in_conversation", "after", "content", "by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        columns = ("parts", "logprobs", "conversation__metadata")
        return super().get_queryset(request).select_related("conversation").defer(*columns)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "conversation__id__exact" or super().lookup_allowed(lookup, value, request)

    in_conversation = link_column("conversation", "conversation")
    after = link_column("parent", "after")
    by = link_column("completion", "written by")

    @admin.display(description="content")
    def content(self, message: Message) -> SafeString:
        files = _files_in(message.conversation, [message])
        parts = [present_part(part, files) for part in message.parts]
        line = {"message": message, "depth": 0, "parts": parts}
        context = {"lines": [line], "withheld": _withheld_files([message])}
        return render_to_string("conversations/admin/thread.html", context)


class ServedByFilter(FixedFilter):
    """A filter with the models of the models file, so that the table need not be read for them."""

    title = "served by"
    parameter_name = "served_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        try:
            return [(spec.id, spec.id) for spec in current_registry()]
        except ModelsFileError:
            return []


class DialectFilter(FixedFilter):
    title = parameter_name = "dialect"
    values = get_args(DialectName)


@admin.register(Completion)
class CompletionAdmin(ReadOnlyAdmin):
    id_prefix = COMPLETION
    list_display = (
        "public_id",
        "state",
        "model",
        "served_by",
        "tokens",
        "first_event",
        "duration",
        "workspace",
        "created_at",
    )
    list_filter = ("state", ServedByFilter, DialectFilter, "usage_estimated", MadeFilter)
    list_select_related = ("workspace",)
    search_fields = ("model__exact", "idempotency_key__exact")
    search_help_text = "Model, idempotency key, or chatcmpl-… id"
    readonly_fields = ("public_id", "in_conversation", "answers_message", "first_event", "duration")
    fieldsets = (
        (None, {"fields": ("public_id", "state", "error", "in_conversation", "answers_message")}),
        ("Asked", {"fields": ("workspace", "api_key", "user", "dialect", "model", "request")}),
        ("Answered", {"fields": ("served_by", "created_at", "first_event", "duration")}),
        (
            "Usage",
            {
                "fields": (
                    "prompt_tokens",
                    "completion_tokens",
                    "cached_tokens",
                    "prompt_audio_tokens",
                    "reasoning_tokens",
                    "completion_audio_tokens",
                    "accepted_prediction_tokens",
                    "rejected_prediction_tokens",
                    "usage_estimated",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Completion]:
        return super().get_queryset(request).defer("request")

    @admin.display(description="tokens")
    def tokens(self, completion: Completion) -> str:
        estimated = "~" if completion.usage_estimated else ""
        return f"{estimated}{completion.prompt_tokens} + {completion.completion_tokens}"

    @admin.display(description="first event")
    def first_event(self, completion: Completion) -> str:
        return _seconds(completion.created_at, completion.first_event_at)

    @admin.display(description="duration")
    def duration(self, completion: Completion) -> str:
        return _seconds(completion.created_at, completion.ended_at)

    in_conversation = link_column("conversation", "conversation")
    answers_message = link_column("prompt", "answers")


def _seconds(start: datetime, end: datetime | None) -> str:
    return "–" if end is None else f"{(end - start).total_seconds():.2f} s"
