"""Serializers for usage and costs, in the shapes of OpenAI's administration API."""

from typing import Any

from rest_framework import serializers

from billing.api.serializer_fields import UsdNumberField
from billing.usage_report import UsageSums
from core.http.serializers import ConstantField
from core.ids import KEY, PROJECT, format_id, format_user_id

NOT_GROUPED = "Null where it is not grouped by."


class ResultSerializer(serializers.Serializer[UsageSums]):
    """Base of what is said of a group; the context holds `groups` and `workspace_id`."""

    project_id = serializers.SerializerMethodField(help_text=NOT_GROUPED)
    user_id = serializers.SerializerMethodField(help_text=NOT_GROUPED)
    api_key_id = serializers.SerializerMethodField(help_text=f"{NOT_GROUPED} Or it came by a session.")

    def get_project_id(self, sums: UsageSums) -> str | None:
        return format_id(PROJECT, self.context["workspace_id"]) if self._is_by("project_id") else None

    def get_user_id(self, sums: UsageSums) -> str | None:
        return None if sums.user_id is None else format_user_id(sums.user_id)

    def get_api_key_id(self, sums: UsageSums) -> str | None:
        return None if sums.key_id is None else format_id(KEY, sums.key_id)

    def _is_by(self, group: str) -> bool:
        return group in self.context["groups"]


class CompletionUsageSerializer(ResultSerializer):
    object = ConstantField("organization.usage.completions.result")
    input_tokens = serializers.SerializerMethodField(help_text="Cached ones and those of sound among them.")
    output_tokens = serializers.SerializerMethodField(help_text="Those of reasoning and sound among them.")
    input_cached_tokens = serializers.IntegerField(source="units.cached")
    input_audio_tokens = serializers.IntegerField(source="units.audio_in")
    output_audio_tokens = serializers.IntegerField(source="units.audio_out")
    num_model_requests = serializers.IntegerField(source="requests")
    model = serializers.CharField(allow_null=True, help_text=NOT_GROUPED)
    batch = serializers.SerializerMethodField(help_text=NOT_GROUPED)

    def get_input_tokens(self, sums: UsageSums) -> int:
        return sum(sums.units[name] for name in ("prompt", "cached", "audio_in"))

    def get_output_tokens(self, sums: UsageSums) -> int:
        return sum(sums.units[name] for name in ("completion", "reasoning", "audio_out"))

    def get_batch(self, sums: UsageSums) -> bool | None:
        return False if self._is_by("batch") else None


class AmountSerializer(serializers.Serializer[UsageSums]):
    value = UsdNumberField(source="cost")
    currency = ConstantField("usd")


class CostSerializer(ResultSerializer):
    object = ConstantField("organization.costs.result")
    amount = AmountSerializer(source="*")
    line_item = serializers.SerializerMethodField(help_text=f"Such as `gpt-5, completion`. {NOT_GROUPED}")
    unpriced_requests = serializers.IntegerField(
        source="unpriced", help_text="Requests that cost nothing since nobody had set a price."
    )

    def get_line_item(self, sums: UsageSums) -> str | None:
        return None if sums.kind is None else f"{sums.model}, {sums.kind}"


class _BucketSerializer(serializers.Serializer[Any]):
    object = ConstantField("bucket")
    start_time = serializers.IntegerField()
    end_time = serializers.IntegerField()


class UsageBucketSerializer(_BucketSerializer):
    results = CompletionUsageSerializer(many=True)


class CostBucketSerializer(_BucketSerializer):
    results = CostSerializer(many=True)


class _PageSerializer(serializers.Serializer[Any]):
    object = ConstantField("page")
    has_more = serializers.BooleanField()
    next_page = serializers.CharField(allow_null=True)


class UsagePageSerializer(_PageSerializer):
    data = UsageBucketSerializer(many=True)  # type: ignore[assignment]


class CostPageSerializer(_PageSerializer):
    data = CostBucketSerializer(many=True)  # type: ignore[assignment]
