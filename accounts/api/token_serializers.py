"""End-user tokens as the API shows them, and what a new one is to be."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.examples import (
    END_USER_OF_TOKENS,
    NEW_TOKEN,
    SHOWN_TOKEN,
    TOKEN_DELETED,
    TOKEN_FIELDS,
    TOKENS_REVOKED,
)
from accounts.api.scopes_field import ScopesField
from accounts.api.secret_field import SecretField
from accounts.keys.end_user_tokens import LEAST_SECONDS, MOST_SECONDS
from accounts.models import END_USER_LENGTH, EndUserToken
from accounts.permissions import TOKEN_SCOPES
from core.http.serializers import (
    ConstantField,
    DeletedField,
    PublicIdField,
    TimestampField,
    UsdStringField,
)
from core.ids import END_USER_TOKEN
from core.money import InvalidAmount, usd_to_nano
from core.validation import exceptions
from core.validation.fields import IntegerField, StrictSerializer, StringField


class SpentField(UsdStringField):
    """What the calls with a token cost and hold, in USD; the context holds `spent`, in nano-USD by its id."""

    def __init__(self) -> None:
        text = "What its calls cost, and may cost while they run."
        super().__init__(source="pk", read_only=True, help_text=text)

    def to_representation(self, value: Any) -> str:
        return super().to_representation(self.context["spent"][value])


@extend_schema_serializer(examples=[SHOWN_TOKEN])
class TokenSerializer(serializers.Serializer[EndUserToken]):
    """A token that a page may hold: it acts as an API key, for one end user and not for long."""

    # the context holds `spent`

    id = PublicIdField(END_USER_TOKEN)
    object = ConstantField("end_user_token")
    created_at = TimestampField(help_text="When it was made, in seconds since the epoch.")
    expires_at = TimestampField(help_text="When it stops working, in seconds since the epoch.")
    revoked_at = TimestampField(
        allow_null=True, help_text="When it was revoked, in seconds since the epoch; null if it was not."
    )
    user = serializers.CharField(source="end_user", help_text="The end user whom it acts for.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField([*TOKEN_SCOPES]),
        source="scope_list",
        help_text="What it may be used for.",
    )
    spending_limit_usd = UsdStringField(
        source="spending_limit",
        allow_null=True,
        help_text="What its calls may cost in all, a decimal number of USD. Null: no limit beside the key's.",
    )
    spent_usd = SpentField()


@extend_schema_serializer(examples=[NEW_TOKEN])
class NewTokenSerializer(TokenSerializer):
    """A new end-user token, with its secret."""

    token = SecretField("What the browser sends as its key. It is not shown again.")


@extend_schema_serializer(examples=[TOKEN_DELETED])
class TokenDeletedSerializer(serializers.Serializer[EndUserToken]):
    """An end-user token that was revoked."""

    id = PublicIdField(END_USER_TOKEN)
    object = ConstantField("end_user_token.deleted")
    deleted = DeletedField()


@extend_schema_serializer(examples=[TOKENS_REVOKED])
class TokensRevokedSerializer(serializers.Serializer[Any]):
    """How many tokens of an end user were revoked."""

    object = ConstantField("end_user_token.revocation")
    user = serializers.CharField(help_text="The end user, as it was sent.")
    revoked = serializers.IntegerField(help_text="How many tokens worked until now.")


class EndUserField(StringField):
    pattern = re.compile(".+", re.DOTALL)
    pattern_in_words = "must have a character at least"

    def __init__(self) -> None:
        super().__init__(max_length=END_USER_LENGTH, help_text="As in the `user` of completions.")


@extend_schema_field({"type": "string", "nullable": True, "example": "0.25"})
class SpendingLimitField(StringField):
    """An amount of USD in a string, read as nano-USD."""

    def __init__(self) -> None:
        text = "A decimal number of USD. Null: none beside the key's; left out: as the server's settings say."
        super().__init__(required=False, allow_null=True, max_length=40, help_text=text)

    def run_validation(self, data: Any = None) -> int:  # type: ignore[override]
        try:
            amount = usd_to_nano(super().run_validation(data))
        except InvalidAmount as problem:
            raise exceptions.wrong_value(str(problem).removesuffix(".")) from None
        if amount < 0:
            raise exceptions.wrong_value("it is negative")
        return amount


@extend_schema_serializer(examples=[TOKEN_FIELDS])
class TokenFieldsSerializer(StrictSerializer):
    """What a new end-user token is to be."""

    keeps_null = True

    user = EndUserField()
    expires_in_seconds = IntegerField(
        min_value=LEAST_SECONDS,
        max_value=MOST_SECONDS,
        required=False,
        help_text="How long it works; 900 if left out, and no longer than its key.",
    )
    scopes = ScopesField(
        TOKEN_SCOPES, help_text="At most those of the key, which are meant if none are named."
    )
    spending_limit_usd = SpendingLimitField()


@extend_schema_serializer(examples=[END_USER_OF_TOKENS])
class EndUserSerializer(StrictSerializer):
    """The end user whose tokens are revoked."""

    user = EndUserField()
