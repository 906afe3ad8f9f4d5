"""Feedback on an answer, as it is sent and shown."""

from typing import Any

from rest_framework import serializers

from conversations.feedback import FEEDBACK_NAMES, Feedback
from conversations.models import Score
from core.http.serializers import ConstantField, OptionalTextField, PublicIdField, TimestampField
from core.ids import COMPLETION
from core.validation import exceptions
from core.validation.fields import EnumField, IntegerField, NumberField, StrictSerializer, StringField

MAX_COMMENT, MAX_CATEGORY = 4000, 64
MAX_SCORE = 1_000_000_000
MAX_CHOICE = 127
THUMBS = ("up", "down")


class FeedbackChangesSerializer(StrictSerializer):
    """Only what is sent changes; null takes it back."""

    keeps_null = True

    thumbs = EnumField(THUMBS, required=False, allow_null=True, help_text="Whether the answer was good.")
    score = NumberField(
        required=False,
        allow_null=True,
        min_value=-MAX_SCORE,
        max_value=MAX_SCORE,
        help_text="How good, on a scale of your own.",
    )
    comment = StringField(
        required=False, allow_null=True, max_length=MAX_COMMENT, help_text="Why, in the reader's words."
    )
    category = StringField(
        required=False,
        allow_null=True,
        max_length=MAX_CATEGORY,
        help_text="One of your own kinds of praise or complaint, such as `too_long`.",
    )
    choice = IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=MAX_CHOICE,
        help_text="Which of the completion's answers it is about, where `n` was more than 1.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & set(FEEDBACK_NAMES):
            raise exceptions.missing("thumbs")
        # nothing is said by no words
        return {name: None if value == "" else value for name, value in attrs.items()}


class FeedbackSerializer(serializers.Serializer[Feedback]):
    """All that one author says of one answer."""

    object = ConstantField("chat.completion.feedback")
    completion_id = PublicIdField(COMPLETION, help_text="The completion that was rated.")
    message_id = serializers.CharField(allow_null=True, help_text="The answer's message.")
    choice = serializers.IntegerField(help_text="Which of the completion's answers.")
    source = serializers.ChoiceField(  # type: ignore[assignment]
        [Score.Source.USER, Score.Source.END_USER, Score.Source.API],
        help_text="`user`: a member in a session; `end_user`: the conversation's end user, by a token or by "
        "a server that passes it on; `api`: a key, where there is no end user.",
    )
    user = OptionalTextField(source="end_user", help_text="The end user whose feedback it is.")
    thumbs = serializers.ChoiceField(THUMBS, allow_null=True, help_text="Whether the answer was good.")
    score = serializers.FloatField(allow_null=True, help_text="How good, on the author's scale.")
    comment = serializers.CharField(allow_null=True, help_text="Why, in the reader's words.")
    category = serializers.CharField(allow_null=True, help_text="One of the author's own kinds.")
    created_at = TimestampField(allow_null=True, help_text="When the first of it was said.")
    updated_at = TimestampField(allow_null=True, help_text="When the last of it was said.")
