"""The native dialect's answers, for the API document only: dialects write answers without these."""

from rest_framework import serializers

from chatapi.completions.schemas.tools import ToolCallSerializer
from conversations.api.usage_serializers import UsageSerializer
from core.validation.fields import StrictSerializer


class AudioSerializer(StrictSerializer):
    """A spoken answer. In a stream its members come in pieces: the id first, then transcript and data."""

    id = serializers.CharField(
        required=False, help_text="Send it back as `audio.id` of an `assistant` message until `expires_at`."
    )
    expires_at = serializers.IntegerField(
        required=False,
        help_text="Until when the id is taken, in seconds since the epoch. In a stream it comes once, at "
        "the end.",
    )
    data = serializers.CharField(
        required=False, help_text="The sound as base64. The pieces of a stream can be joined, decoded or not."
    )  # type: ignore[assignment]
    transcript = serializers.CharField(required=False, help_text="What is said. In a stream, more of it.")


class ResponseMessageSerializer(StrictSerializer):
    """What is answered, or in a stream the next piece of it. What there is none of is left out."""

    content = serializers.CharField(
        required=False, help_text="The text, or more of it. The pieces joined are what is stored."
    )
    refusal = serializers.CharField(
        required=False, help_text="Why the model does not answer, or more of that."
    )
    tool_calls = ToolCallSerializer(
        required=False,
        help_text="What the model calls. In a stream, first the call with empty arguments, then more of the "
        "arguments.",
    )
    role = serializers.CharField(
        required=False, help_text="Always `assistant`. In a stream with the first piece of each choice alone."
    )
    audio = AudioSerializer(required=False, help_text="The spoken answer, or more of it.")


class DeltaSerializer(StrictSerializer):
    """The next piece of a text."""

    content = serializers.CharField(required=False, help_text="More of the text.")


class ChoiceSerializer(StrictSerializer):
    """One of the answers: there are as many as `n`, and one more for each further tool call."""

    message = ResponseMessageSerializer(required=False, help_text="What is answered.")
    index = serializers.IntegerField(required=False, help_text="Which of the answers it is, from 0.")
    finish_reason = serializers.CharField(
        required=False, help_text="Why it ended: `stop`, `length`, `tool_calls` or `content_filter`."
    )
    logprobs = serializers.DictField(
        required=False,
        help_text="Log probabilities, where they were asked for and the model tells them: `content` and "
        "`refusal`, each a list by token.",
    )


class DeltaChoiceSerializer(StrictSerializer):
    """The next piece of one of the answers."""

    delta = ResponseMessageSerializer(
        required=False, help_text="What is new; empty in the chunk with the `finish_reason`."
    )
    index = serializers.IntegerField(
        required=False, help_text="Which of the answers it is a piece of, from 0."
    )
    finish_reason = serializers.CharField(
        required=False,
        help_text="Why it ended: `stop`, `length`, `tool_calls` or `content_filter`. Only in its last chunk.",
    )
    logprobs = serializers.DictField(
        required=False,
        help_text="Log probabilities, where they were asked for and the model tells them: `content` and "
        "`refusal`, each a list by token.",
    )


class CompletionSerializer(StrictSerializer):
    id = serializers.CharField(
        required=False,
        help_text="The completion's id: `chatcmpl-…`. It is also in the header `X-Completion-Id`.",
    )
    object = serializers.CharField(
        required=False, help_text="`chat.completion`, or `chat.completion.chunk` in a stream."
    )
    created = serializers.IntegerField(
        required=False, help_text="When the call was admitted, in seconds since the epoch."
    )
    model = serializers.CharField(
        required=False,
        help_text="The model that was asked, also where a fallback of it answers.",
    )
    usage = UsageSerializer(
        required=False, help_text="What was used, and is billed. In a stream, in the last chunk."
    )


class ChatCompletionResponseSerializer(CompletionSerializer):
    """A whole answer, where `stream` is false. What there is none of is left out, never null."""

    choices = ChoiceSerializer(many=True, required=False, help_text="The answers.")
    service_tier = serializers.CharField(required=False, help_text="The request's, as it was sent.")
    metadata = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="The request's pairs."
    )


class ChatCompletionChunkSerializer(CompletionSerializer):
    """A piece of a streamed answer. What there is none of is left out, never null."""

    choices = DeltaChoiceSerializer(
        many=True, required=False, help_text="What is new of the answers: one of them a chunk."
    )
