"""Items as the API document describes them. `item_presenter` makes them, since each kind has its shape."""

from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers

from conversations.api.feedback_serializers import FeedbackSerializer
from conversations.api.media_presenter import AssetReferenceSerializer
from conversations.api.usage_serializers import UsageSerializer
from conversations.models import Completion, Message
from core.http.pagination import PageSerializer
from core.http.serializers import ConstantField, TimestampField, UsdStringField
from media.api.serializers import RenditionSerializer

Shown = serializers.Serializer[Any]
Kinds = dict[str, Shown | type[Shown]]
STATUSES = ("in_progress", "completed", "incomplete")


def _one_of(name: str, kinds: Kinds, **options: Any) -> Any:
    return PolymorphicProxySerializer(
        component_name=name, serializers=kinds, resource_type_field_name="type", **options
    )


class ItemAudioSerializer(Shown):
    """A sound: one that a user sent, or a spoken answer."""

    id = serializers.CharField(
        required=False, help_text="Of a spoken answer: send it back as `audio.id` until `expires_at`."
    )
    format = serializers.CharField(required=False, help_text="Of a user's: its kind, such as `mp3`.")
    transcript = serializers.CharField(required=False, help_text="What is said; absent until it was heard.")
    expires_at = serializers.IntegerField(required=False, help_text="Of a spoken answer's `id`.")
    asset = AssetReferenceSerializer(required=False, help_text="The original; absent while it is made.")
    renditions = RenditionSerializer(
        many=True, required=False, help_text="What players want: `opus`, `mp3` and `peaks`."
    )


class ItemInputTextSerializer(Shown):
    """What a user wrote."""

    type = ConstantField("input_text")
    text = serializers.CharField(help_text="What was written.")


class ItemOutputTextSerializer(Shown):
    """What was answered."""

    type = ConstantField("output_text")
    text = serializers.CharField(help_text="What was answered; of what was only spoken, the transcript.")
    annotations = serializers.ListField(child=serializers.DictField(), help_text="Always empty.")
    audio = ItemAudioSerializer(required=False, help_text="Where the answer was spoken.")


class ItemRefusalSerializer(Shown):
    """That the model did not answer."""

    type = ConstantField("refusal")
    refusal = serializers.CharField(help_text="Why the model does not answer.")


class ItemInputImageSerializer(Shown):
    """A picture that a user showed."""

    type = ConstantField("input_image")
    detail = serializers.CharField(help_text="How closely a model looks: `auto`, `low`, `high`, `original`.")
    image_url = serializers.CharField(
        required=False,
        help_text="The address of the stored picture, which needs no key and expires; once it is no longer "
        "kept, where it came from.",
    )
    source_url = serializers.CharField(required=False, help_text="Where it was fetched from.")
    asset = AssetReferenceSerializer(required=False, help_text="The stored picture.")
    thumbnail_url = serializers.CharField(required=False, help_text="A small WebP, once it is made.")
    text = serializers.CharField(required=False, help_text="What was read in it.")


class ItemInputFileSerializer(Shown):
    """A file or sound that a user sent."""

    type = ConstantField("input_file")
    filename = serializers.CharField(required=False, help_text="Its name.")
    file_id = serializers.CharField(required=False, help_text="Of an upload that is not kept.")
    file_url = serializers.CharField(required=False, help_text="Opens it without a key, until it expires.")
    asset = AssetReferenceSerializer(required=False, help_text="The stored file, if it is no sound.")
    audio = ItemAudioSerializer(required=False, help_text="The stored file, if it is a sound.")


class ItemReasoningTextSerializer(Shown):
    """A piece of the model's thoughts."""

    type = ConstantField("reasoning_text")
    text = serializers.CharField(help_text="What the model thought.")


CONTENT: Kinds = {
    "input_text": ItemInputTextSerializer,
    "input_image": ItemInputImageSerializer,
    "input_file": ItemInputFileSerializer,
    "output_text": ItemOutputTextSerializer,
    "refusal": ItemRefusalSerializer,
}


class _ItemSerializer(Shown):
    id = serializers.CharField(help_text="Taken wherever its message is named.")
    status = serializers.ChoiceField(
        STATUSES, help_text="`incomplete`: it was cut off, by a limit or before its end."
    )
    message_id = serializers.CharField(help_text="The stored message that it belongs to, `msg_…`.")
    parent_id = serializers.CharField(
        allow_null=True, help_text="The message that it follows, `msg_…`: null at a beginning."
    )
    siblings = serializers.ListField(
        child=serializers.CharField(),
        help_text="The messages that are alternatives at this place, itself included, oldest first; the "
        "hundred around it if there are more.",
    )
    completion_id = serializers.CharField(
        allow_null=True, help_text="The completion whose answer it is; null for what a client wrote."
    )
    state = serializers.ChoiceField(Completion.State.values, allow_null=True, help_text="Of that completion.")
    finish_reason = serializers.CharField(
        allow_null=True, help_text="`stop`, `length`, `tool_calls` or `content_filter`."
    )
    usage = UsageSerializer(
        allow_null=True,
        help_text="OpenAI's usage object of the completion: on the last item of its first answer alone, so "
        "that sums are right.",
    )
    cost_usd = UsdStringField(
        required=False,
        allow_null=True,
        help_text="What the completion cost, beside its usage. Absent for callers without the permission "
        "`usage`.",
    )
    feedback = FeedbackSerializer(many=True, help_text="What was said of the answer.")
    created_at = TimestampField(help_text="Seconds since the epoch.")


class ConversationMessageSerializer(_ItemSerializer):
    """What was said."""

    type = ConstantField("message")
    role = serializers.ChoiceField(Message.Role.values, help_text="Who said it.")
    content = _one_of("ConversationContent", CONTENT, many=True, help_text="Its parts, in order.")
    name = serializers.CharField(allow_null=True, help_text="Which participant of this role.")


class ConversationReasoningSerializer(_ItemSerializer):
    """What the model thought before it answered."""

    type = ConstantField("reasoning")
    summary = serializers.ListField(child=serializers.DictField(), help_text="Always empty.")
    content = ItemReasoningTextSerializer(many=True, help_text="The thoughts, in order.")
    name = serializers.CharField(allow_null=True, help_text="Which participant of this role.")


class ConversationFunctionCallSerializer(_ItemSerializer):
    """A call of a function."""

    type = ConstantField("function_call")
    call_id = serializers.CharField(help_text="What its output names.")
    name = serializers.CharField(help_text="The function's.")
    arguments = serializers.CharField(help_text="As the model wrote them, usually a JSON object.")


class ConversationFunctionCallOutputSerializer(_ItemSerializer):
    """What a function returned."""

    type = ConstantField("function_call_output")
    call_id = serializers.CharField(help_text="The call that it answers.")
    output = serializers.JSONField(help_text="A text, or a list of parts as in a message.")
    name = serializers.CharField(allow_null=True, help_text="Always null.")


KINDS: Kinds = {
    "message": ConversationMessageSerializer,
    "reasoning": ConversationReasoningSerializer,
    "function_call": ConversationFunctionCallSerializer,
    "function_call_output": ConversationFunctionCallOutputSerializer,
}
ITEM = _one_of("ConversationItem", KINDS)


class ConversationItemListSerializer(PageSerializer):
    """A page of a conversation's items."""

    data = _one_of(
        "ConversationItem", KINDS, many=True, help_text="The items, in the order that was asked for."
    )
