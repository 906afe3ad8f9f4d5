"""Serializers for usage and costs, in the shapes of OpenAI's administration API."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from billing.api.examples import SHOWN_COSTS, SHOWN_USAGE
from billing.api.serializer_fields import UsdNumberField
from billing.usage_report import UsageSums
from core.http.serializers import ConstantField
from core.ids import KEY, PROJECT, format_id, format_user_id

NOT_GROUPED = "Null where it is not grouped by."


class ResultSerializer(serializers.Serializer[UsageSums]):
    """Base of what is said of a group; the context holds `groups` and `workspace_id`."""

    project_id = serializers.SerializerMethodField(
        help_text="The workspace. Null where it is not grouped by."
    )
    user_id = serializers.SerializerMethodField(
        help_text="Who used it: `user-…`. Null where it is not grouped by."
    )
    api_key_id = serializers.SerializerMethodField(
        help_text="The key that it was used with. Null where it is not grouped by, or where it was used in "
        "a session."
    )

    def get_project_id(self, sums: UsageSums) -> str | None:
        return format_id(PROJECT, self.context["workspace_id"]) if self._is_by("project_id") else None

    def get_user_id(self, sums: UsageSums) -> str | None:
        return None if sums.user_id is None else format_user_id(sums.user_id)

    def get_api_key_id(self, sums: UsageSums) -> str | None:
        return None if sums.key_id is None else format_id(KEY, sums.key_id)

    def _is_by(self, group: str) -> bool:
        return group in self.context["groups"]


class CompletionUsageSerializer(ResultSerializer):
    """What a group of completions used."""

    object = ConstantField("organization.usage.completions.result")
    input_tokens = serializers.SerializerMethodField(
        help_text="Tokens that models read, cached ones and those of sound among them."
    )
    output_tokens = serializers.SerializerMethodField(
        help_text="Tokens that models wrote, those of reasoning and sound among them."
    )
    input_cached_tokens = serializers.IntegerField(
        source="units.cached", help_text="Of the input: tokens that the model's server had read before."
    )
    input_audio_tokens = serializers.IntegerField(
        source="units.audio_in", help_text="Of the input: tokens of sound."
    )
    output_audio_tokens = serializers.IntegerField(
        source="units.audio_out", help_text="Of the output: tokens of sound."
    )
    num_model_requests = serializers.IntegerField(source="requests", help_text="How many completions ended.")
    model = serializers.CharField(
        allow_null=True, help_text="The model that answered. Null where it is not grouped by."
    )
    batch = serializers.SerializerMethodField(
        help_text="Always false where it is grouped by, since there are no batch jobs. Null else."
    )

    def get_input_tokens(self, sums: UsageSums) -> int:
        return sum(sums.units[name] for name in ("prompt", "cached", "audio_in"))

    def get_output_tokens(self, sums: UsageSums) -> int:
        return sum(sums.units[name] for name in ("completion", "reasoning", "audio_out"))

    def get_batch(self, sums: UsageSums) -> bool | None:
        return False if self._is_by("batch") else None


class AmountSerializer(serializers.Serializer[UsageSums]):
    """An amount of money."""

    value = UsdNumberField(
        source="cost",
        help_text="A decimal number, exact to the last of its nine digits: read it as one, not as a float.",
    )
    currency = ConstantField("usd")


class CostSerializer(ResultSerializer):
    """What a group of requests cost."""

    object = ConstantField("organization.costs.result")
    amount = AmountSerializer(source="*", help_text="What they cost.")
    line_item = serializers.SerializerMethodField(
        help_text="The model and what it was used for, such as `gpt-5, completion`. Null where it is not "
        "grouped by."
    )
    unpriced_requests = serializers.IntegerField(
        source="unpriced", help_text="Requests that cost nothing since nobody had set a price."
    )

    def get_line_item(self, sums: UsageSums) -> str | None:
        return None if sums.kind is None else f"{sums.model}, {sums.kind}"


class _BucketSerializer(serializers.Serializer[Any]):
    object = ConstantField("bucket")
    start_time = serializers.IntegerField(help_text="When it begins, in seconds since the epoch.")
    end_time = serializers.IntegerField(
        help_text="When it ends and the next begins, in seconds since the epoch."
    )


class UsageBucketSerializer(_BucketSerializer):
    """What was used in a span of time."""

    results = CompletionUsageSerializer(many=True, help_text="A result for each group that used something.")


class CostBucketSerializer(_BucketSerializer):
    """What a day's requests cost."""

    results = CostSerializer(many=True, help_text="A result for each group that used something.")


class _PageSerializer(serializers.Serializer[Any]):
    object = ConstantField("page")
    has_more = serializers.BooleanField(help_text="Whether there is a next page.")
    next_page = serializers.CharField(allow_null=True, help_text="`page` of the next page; null at the end.")


@extend_schema_serializer(examples=[SHOWN_USAGE])
class UsagePageSerializer(_PageSerializer):
    """A page of buckets, oldest first."""

    data = UsageBucketSerializer(many=True, help_text="The buckets, also those in which nothing was used.")  # type: ignore[assignment]


@extend_schema_serializer(examples=[SHOWN_COSTS])
class CostPageSerializer(_PageSerializer):
    """A page of buckets, oldest first."""

    data = CostBucketSerializer(many=True, help_text="The buckets, also those in which nothing was used.")  # type: ignore[assignment]
