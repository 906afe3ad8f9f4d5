"""Tools, the choice of a tool, and tool calls."""

from typing import Any

from rest_framework.fields import empty

from chatapi.completions.schemas.json_schema import JsonSchemaField
from core.validation import exceptions
from core.validation.fields import (
    BooleanField,
    DescribedField,
    DiscriminatedField,
    EnumField,
    ListField,
    NameField,
    Reference,
    StrictSerializer,
    StringField,
)
from engines.requests import ToolChoice

MODES = ("auto", "none", "required")


class FunctionSerializer(StrictSerializer):
    """A function that the model may call. Your program runs it, and sends back what it returns."""

    name = NameField(help_text="Its name: letters, digits, underscores and dashes.")
    description = StringField(required=False, help_text="What it does, by which the model chooses it.")
    parameters = JsonSchemaField(
        required=False, help_text="Its arguments, as a JSON Schema; nothing is fetched for a `$ref`."
    )
    strict = BooleanField(default=False, help_text="Whether the arguments must follow the schema exactly.")


class ToolSerializer(StrictSerializer):
    """A tool that the model may call. `type` may be absent: functions are the only ones."""

    also_required = ("function",)

    type = EnumField(("function",), required=False, help_text="Functions are the only tools.")
    function = FunctionSerializer(required=False, help_text="What the model may call.")

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        kind = data.get("type") if type(data) is dict else None
        if kind == "custom":
            raise exceptions.unsupported("custom tools are not offered here, only functions").at("type")
        if type(kind) is str and kind != "function":  # before a missing 'function' is reported
            raise exceptions.not_one_of(("function",), kind).at("type")
        return super().run_validation(data)


class OpenAIToolSerializer(ToolSerializer):
    """A tool that the model may call."""

    type = EnumField(("function",), help_text="Functions are the only tools.")


class FunctionNameSerializer(StrictSerializer):
    """A function, by its name."""

    name = StringField(max_length=64, help_text="The function to call.")


class NamedToolSerializer(StrictSerializer):
    """A tool, by its name."""

    also_required = ("function",)

    type = EnumField(("function",), required=False, help_text="Functions are the only tools.")
    function = FunctionNameSerializer(required=False, help_text="The function that is named.")


class ToolsAllowedSerializer(StrictSerializer):
    """Some of the tools, and whether one of them must be called."""

    mode = EnumField(("auto", "required"), help_text="`required`: one of them must be called.")
    tools = ListField(
        child=NamedToolSerializer(),
        min_length=1,
        help_text="Those that may be called, of the request's `tools`.",
    )


class AllowedToolsSerializer(StrictSerializer):
    """The choice among some of the tools."""

    type = EnumField(("allowed_tools",), help_text="Tells it from a single function.")
    allowed_tools = ToolsAllowedSerializer(help_text="Which tools may be called, and whether one must be.")


class _ChosenToolField(DiscriminatedField):
    default_kind = "function"
    kinds = {"function": NamedToolSerializer(), "allowed_tools": AllowedToolsSerializer()}


class ToolChoiceField(DescribedField):
    """A mode or an object, read as a `ToolChoice`."""

    _object = _ChosenToolField()

    def run_validation(self, data: Any = empty) -> ToolChoice:
        if type(data) is str:
            if data not in MODES:
                raise exceptions.not_one_of(MODES, data)
            return ToolChoice(data)  # type: ignore[arg-type]
        if type(data) is not dict:
            raise exceptions.wrong_type("a string or an object", data)
        return _choice(self._object.run_validation(data))

    def describe(self, reference: Reference) -> dict[str, Any]:
        return {
            "oneOf": [{"type": "string", "enum": list(MODES)}, *self._object.describe(reference)["oneOf"]]
        }


def _choice(chosen: dict[str, Any]) -> ToolChoice:
    allowed = chosen.get("allowed_tools")
    if allowed is None:
        return ToolChoice("required", (chosen["function"]["name"],))
    return ToolChoice(allowed["mode"], tuple(tool["function"]["name"] for tool in allowed["tools"]))


class FunctionChoiceField(DescribedField):
    """The deprecated `function_call`: `none`, `auto` or `{name}`, read as a `ToolChoice`."""

    _object = FunctionNameSerializer()

    def run_validation(self, data: Any = empty) -> ToolChoice:
        if type(data) is str:
            if data not in ("none", "auto"):
                raise exceptions.not_one_of(("none", "auto"), data)
            return ToolChoice(data)  # type: ignore[arg-type]
        if type(data) is not dict:
            raise exceptions.wrong_type("a string or an object", data)
        return ToolChoice("required", (self._object.run_validation(data)["name"],))

    def describe(self, reference: Reference) -> dict[str, Any]:
        return {"oneOf": [{"type": "string", "enum": ["none", "auto"]}, reference(self._object)]}


class FunctionCallSerializer(StrictSerializer):
    """What is called, and with what."""

    also_required = ("name", "arguments")

    name = StringField(required=False, help_text="The function's name.")
    arguments = StringField(required=False, help_text="As the model wrote them, usually a JSON object.")


class ToolCallSerializer(StrictSerializer):
    """A call of a tool, in a request as in an answer."""

    also_required = ("id", "function")

    id = StringField(required=False, max_length=256, help_text="The call's id, which its result names.")
    type = EnumField(("function",), required=False, help_text="Functions are the only tools.")
    function = FunctionCallSerializer(required=False, help_text="What is called, and with what.")


class ToolCallsField(DescribedField):
    """One call, or a list of them; read as a list."""

    _call = ToolCallSerializer()
    _calls = ListField(child=_call)
    _calls.expected = "an object or an array"

    def run_validation(self, data: Any = empty) -> list[dict[str, Any]]:
        if type(data) is dict:
            return [self._call.run_validation(data)] if data else []
        return self._calls.run_validation(data)

    def describe(self, reference: Reference) -> dict[str, Any]:
        call = reference(self._call)
        return {"oneOf": [call, {"type": "array", "items": call}]}
