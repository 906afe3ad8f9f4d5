"""The parameters that both dialects take: sampling, limits, labels. See docs/parameters.md."""

from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from chatapi.completions.schemas.content_parts import TEXT
from core.validation import exceptions
from core.validation.content_field import ContentField
from core.validation.fields import (
    BooleanField,
    DescribedField,
    EnumField,
    IntegerField,
    ListField,
    NumberField,
    ObjectField,
    Reference,
    StrictSerializer,
    StringField,
)
from core.validation.metadata import MetadataField

PARAMETERS = (
    "frequency_penalty",
    "presence_penalty",
    "temperature",
    "top_p",
    "max_completion_tokens",
    "max_tokens",
    "stop",
    "seed",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "store",
    "prediction",
    "service_tier",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
    "safety_identifier",
    "prompt_cache_key",
    "user",
)
"""The parameters that `CompletionRequest.params` holds."""

_INT32_MAX = 2**31 - 1
_MAX_STOPS = 4

CONTEXT_NAMES = {
    "conversation_id": "The conversation that the call continues, `conv_…`.",
    "parent_message_id": "The message that it follows, `msg_…`; null: none, it begins anew.",
    "regenerate": "The message to answer anew, `msg_…`, or an answer to make anew; `messages` is empty.",
}
"""What means something in `context`, and what it means."""


class StopField(DescribedField):
    """A string, or 1 to 4 of them."""

    _list = ListField(child=StringField(), min_length=1, max_length=_MAX_STOPS)
    _list.expected = "a string or an array"

    def run_validation(self, data: Any = empty) -> str | list[str]:
        return data if type(data) is str else self._list.run_validation(data)

    def describe(self, reference: Reference) -> dict[str, Any]:
        text = {"type": "string"}
        return {"oneOf": [text, {"type": "array", "items": text, "minItems": 1, "maxItems": _MAX_STOPS}]}


class LogitBiasField(serializers.DictField):
    def run_validation(self, data: Any = empty) -> dict[str, float]:
        if type(data) is not dict:
            raise exceptions.wrong_type("an object", data)
        for token, bias in data.items():
            if not (token.isascii() and token.isdecimal()):
                raise exceptions.wrong_value("its keys must be token ids").at(token)
            try:
                self.child.run_validation(bias)
            except exceptions.InvalidField as problem:
                raise problem.at(token) from None
        return data


class StreamOptionsSerializer(StrictSerializer):
    """What a stream tells besides the answer."""

    include_usage = BooleanField(
        required=False,
        help_text="Whether the usage comes in a chunk of its own before the end. `/chat/completions` tells "
        "it in any case.",
    )
    include_obfuscation = BooleanField(required=False, help_text="OpenAI's; taken, without effect.")


class PredictionSerializer(StrictSerializer):
    """What most of the answer will be."""

    type = EnumField(("content",), help_text="The only kind that there is.")
    content = ContentField(TEXT, help_text="The text that is expected: a text, or text parts.")


class ParametersSerializer(StrictSerializer):
    frequency_penalty = NumberField(
        min_value=-2,
        max_value=2,
        required=False,
        help_text="Above 0, words that came often become less likely.",
    )
    presence_penalty = NumberField(
        min_value=-2,
        max_value=2,
        required=False,
        help_text="Above 0, words that came at all become less likely.",
    )
    temperature = NumberField(
        min_value=0,
        max_value=2,
        required=False,
        help_text="How much chance there is in the choice of words: 0 for the least.",
    )
    top_p = NumberField(
        min_value=0,
        max_value=1,
        required=False,
        help_text="Only the likeliest tokens are chosen from, up to this sum of probabilities.",
    )
    n = IntegerField(
        min_value=1,
        max_value=128,
        required=False,
        help_text="How many answers to make. Each is a choice, and each is billed.",
    )
    max_completion_tokens = IntegerField(
        min_value=1,
        max_value=_INT32_MAX,
        required=False,
        help_text="How long an answer may become, in tokens, reasoning included. More than the model's "
        "`max_output_tokens` is refused. Until the answer has ended, so much of it is held of the "
        "balance and of the limit on tokens.",
    )
    max_tokens = IntegerField(
        min_value=1,
        max_value=_INT32_MAX,
        required=False,
        help_text="The older name of `max_completion_tokens`; of both the smaller is meant.",
    )
    stop = StopField(required=False, help_text="A text, or up to four, before which the answer ends.")
    seed = IntegerField(
        min_value=-(2**63),
        max_value=2**63 - 1,
        required=False,
        help_text="The same seed makes the same answer likelier, where the model knows seeds.",
    )
    logit_bias = LogitBiasField(
        child=NumberField(min_value=-100, max_value=100),
        required=False,
        help_text="By token id, how much likelier (up to 100) or less likely (down to -100) a token is.",
    )
    logprobs = BooleanField(
        required=False, help_text="Whether to return the tokens' log probabilities, where the model can."
    )
    top_logprobs = IntegerField(
        min_value=0,
        max_value=20,
        required=False,
        help_text="How many alternatives to return for each token; it needs `logprobs`.",
    )
    stream_options = StreamOptionsSerializer(required=False, help_text="Only together with `stream: true`.")
    store = BooleanField(
        required=False,
        help_text="False: nothing of the call can be read again, though it is billed. Else it is kept in a "
        "conversation.",
    )
    metadata = MetadataField(
        required=False,
        help_text="Pairs of your own, kept with the completion: at most 16, keys to 64 characters, values "
        "to 512.",
    )
    prediction = PredictionSerializer(
        required=False, help_text="What most of the answer will be, for models that are faster with it."
    )
    service_tier = StringField(
        max_length=64,
        required=False,
        help_text="Sent to the model's server as it is. Models with a price take `auto` and `default` alone.",
    )
    reasoning_effort = StringField(
        max_length=64, required=False, help_text="How much to think, in the model's own words, such as `low`."
    )
    verbosity = StringField(
        max_length=64,
        required=False,
        help_text="How long answers are, in the model's own words, such as `low`.",
    )
    web_search_options = ObjectField(
        required=False, help_text="Sent to the model's server as it is; models with a price refuse it."
    )
    safety_identifier = StringField(
        max_length=64,
        required=False,
        help_text="The end user whom the call is for, by your own name for them. It goes before `user`.",
    )
    prompt_cache_key = StringField(
        max_length=256,
        required=False,
        help_text="Sent to the model's server, which may find what it read before by it.",
    )
    user = StringField(
        max_length=256,
        required=False,
        help_text="The end user whom the call is for, by your own name for them. The conversation is "
        "theirs. With an end-user token: the token's, or left out.",
    )
    on_disconnect = EnumField(
        ("cancel", "continue"),
        required=False,
        help_text="Whether the answer is cancelled or made to its end when the client leaves. Left out: as "
        "the model's operator says, else `continue` on `/chat/completions` and with an "
        "`Idempotency-Key`, `cancel` on `/v1`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "top_logprobs" in attrs and not attrs.get("logprobs"):
            raise exceptions.wrong_value("it needs 'logprobs' to be true").at("top_logprobs")
        return attrs


class ConversationContextField(DescribedField):
    """A free-form object. Only `CONTEXT_NAMES` mean something here: which conversation the call continues.

    `parent_message_id` is the message that it follows, null for none; `regenerate` one to answer anew.
    """

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is not dict:
            raise exceptions.wrong_type("an object", data)
        for name in CONTEXT_NAMES:
            value = data.get(name)
            if value is not None and type(value) is not str:
                raise exceptions.wrong_type("a string", value).at(name)
        if data.get("conversation_id") is None:
            for name in ("parent_message_id", "regenerate"):
                if data.get(name) is not None:
                    raise exceptions.missing("conversation_id")
        if data.get("parent_message_id") is not None and data.get("regenerate") is not None:
            raise exceptions.wrong_value("it excludes 'parent_message_id'").at("regenerate")
        return data

    def describe(self, reference: Reference) -> dict[str, Any]:
        text = {"type": "string", "nullable": True}
        properties = {name: {**text, "description": meaning} for name, meaning in CONTEXT_NAMES.items()}
        return {"type": "object", "properties": properties, "additionalProperties": {}}
