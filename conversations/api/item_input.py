"""Items that clients add, in the shapes of OpenAI's `ResponseInputItem`, read as messages.

What the shapes have besides these fields is ignored: items that were listed can be sent as they are.
"""

from collections.abc import Mapping
from typing import Any

from core.validation import exceptions
from core.validation.content_field import ContentField
from core.validation.fields import (
    DiscriminatedField,
    EnumField,
    ListField,
    Reference,
    StrictSerializer,
    StringField,
)

MAX_ITEMS = 20
NAME_LIMIT = ID_LIMIT = 256
DETAILS = ("auto", "low", "high", "original")


class InputTextInputSerializer(StrictSerializer):
    """A piece of text."""

    type = EnumField(("input_text",), help_text="Which kind of part it is.")
    text = StringField(help_text="What is written.")


class OutputTextInputSerializer(StrictSerializer):
    """A piece of an answer's text."""

    type = EnumField(("output_text",), help_text="Which kind of part it is.")
    text = StringField(help_text="What was answered.")


class RefusalInputSerializer(StrictSerializer):
    """Why the model did not answer."""

    type = EnumField(("refusal",), help_text="Which kind of part it is.")
    refusal = StringField(help_text="Why the model did not answer.")


class InputImageInputSerializer(StrictSerializer):
    """A picture. Exactly one of `file_id` and `image_url`."""

    type = EnumField(("input_image",), help_text="Which kind of part it is.")
    file_id = StringField(required=False, max_length=ID_LIMIT, allow_null=True, help_text="Of an upload.")
    image_url = StringField(required=False, allow_null=True, help_text="An http(s) address, or a data URL.")
    detail = EnumField(DETAILS, required=False, allow_null=True, help_text="How closely to look.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _exactly_one(attrs, "file_id", "image_url")


class InputFileInputSerializer(StrictSerializer):
    """A file, or a sound. Exactly one of `file_id` and `file_data`."""

    type = EnumField(("input_file",), help_text="Which kind of part it is.")
    file_id = StringField(required=False, max_length=ID_LIMIT, allow_null=True, help_text="Of an upload.")
    file_data = StringField(required=False, allow_null=True, help_text="Its bytes, as base64 or a data URL.")
    filename = StringField(required=False, max_length=NAME_LIMIT, allow_null=True, help_text="Its name.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _exactly_one(attrs, "file_id", "file_data")


def _exactly_one(attrs: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    if first not in attrs and second not in attrs:
        raise exceptions.wrong_value(
            f"it has neither '{first}' nor '{second}': upload the file to /v1/files, and send its id"
        )
    if first in attrs and second in attrs:
        raise exceptions.wrong_value(f"'{first}' and '{second}' exclude each other").at(second)
    return attrs


_TEXT = {"input_text": InputTextInputSerializer()}
_USER = {**_TEXT, "input_image": InputImageInputSerializer(), "input_file": InputFileInputSerializer()}
_ASSISTANT = {**_TEXT, "output_text": OutputTextInputSerializer(), "refusal": RefusalInputSerializer()}


class _MessageInputSerializer(StrictSerializer):
    type = EnumField(("message",), required=False, help_text="Which kind of item it is.")
    name = StringField(
        required=False, max_length=NAME_LIMIT, allow_null=True, help_text="Which participant of this role."
    )


class SystemMessageInputSerializer(_MessageInputSerializer):
    """Instructions for the model."""

    role = EnumField(("system", "developer"), help_text="Who says it.")
    content = ContentField(_TEXT, help_text="The instructions: a text, or parts.")


class UserMessageInputSerializer(_MessageInputSerializer):
    """What the user says or shows."""

    role = EnumField(("user",), help_text="Who says it.")
    content = ContentField(_USER, help_text="What the user says or shows: a text, or parts.")


class AssistantMessageInputSerializer(_MessageInputSerializer):
    """What was answered."""

    role = EnumField(("assistant",), help_text="Who says it.")
    content = ContentField(_ASSISTANT, may_be_empty=True, help_text="What was answered: a text, or parts.")


class ReasoningTextInputSerializer(StrictSerializer):
    """A piece of the model's thoughts."""

    text = StringField(help_text="What the model thought.")


class ReasoningInputSerializer(StrictSerializer):
    """What the model thought before it answered."""

    type = EnumField(("reasoning",), help_text="Which kind of item it is.")
    content = ListField(
        child=ReasoningTextInputSerializer(), required=False, allow_null=True, help_text="The thoughts."
    )
    summary = ListField(
        child=ReasoningTextInputSerializer(),
        required=False,
        allow_null=True,
        help_text="Taken for the thoughts where there is no `content`.",
    )


class FunctionCallInputSerializer(StrictSerializer):
    """A call of a function."""

    type = EnumField(("function_call",), help_text="Which kind of item it is.")
    call_id = StringField(max_length=ID_LIMIT, help_text="What its output will name.")
    name = StringField(max_length=NAME_LIMIT, help_text="The function's name.")
    arguments = StringField(help_text="What it is called with, usually a JSON object in a text.")


class FunctionCallOutputInputSerializer(StrictSerializer):
    """What a function returned."""

    type = EnumField(("function_call_output",), help_text="Which kind of item it is.")
    call_id = StringField(max_length=ID_LIMIT, help_text="The call that it answers, which is before it.")
    output = ContentField(_TEXT, help_text="What the function returned: a text, or parts.")


_BY_ROLE: Mapping[str, StrictSerializer] = {
    "user": UserMessageInputSerializer(),
    "assistant": AssistantMessageInputSerializer(),
    "system": (_SYSTEM := SystemMessageInputSerializer()),
    "developer": _SYSTEM,
}


class NewItemField(DiscriminatedField):
    """An item; without a `type` it is a message."""

    default_kind = "message"
    kinds = {
        "message": _BY_ROLE["user"],
        "reasoning": ReasoningInputSerializer(),
        "function_call": FunctionCallInputSerializer(),
        "function_call_output": FunctionCallOutputInputSerializer(),
    }

    def choose(self, kind: str, data: dict[str, Any]) -> StrictSerializer | None:
        if kind != "message":
            return super().choose(kind, data)
        role = data.get("role")
        if "role" not in data:
            raise exceptions.missing("role")
        if type(role) is not str:
            raise exceptions.wrong_type("a string", role).at("role")
        if role not in _BY_ROLE:
            raise exceptions.not_one_of(_BY_ROLE, role).at("role")
        return _BY_ROLE[role]

    def describe(self, reference: Reference) -> dict[str, Any]:
        serializers = dict.fromkeys((*_BY_ROLE.values(), *self.kinds.values()))
        return {"oneOf": [reference(serializer) for serializer in serializers]}


class NewItemsSerializer(StrictSerializer):
    """Items to add, and where."""

    keeps_null = True

    items = ListField(
        child=NewItemField(), min_length=1, max_length=MAX_ITEMS, help_text="Oldest first, at most 20."
    )
    parent_id = StringField(
        required=False,
        allow_null=True,
        help_text="The message that they follow, by any of its items' ids; null: they begin anew. "
        "Absent: the newest of the branch that is shown.",
    )


class UserEditSerializer(StrictSerializer):
    content = ContentField(_USER, help_text="As in a new item.")


class ItemEditSerializer(StrictSerializer):
    """For the document: what any role's messages can be edited to."""

    content = ContentField(
        {**_USER, **_ASSISTANT}, may_be_empty=True, help_text="A text, or the parts that its role can have."
    )


class AssistantEditSerializer(StrictSerializer):
    content = ContentField(_ASSISTANT, may_be_empty=True, help_text="As in a new item.")


class TextEditSerializer(StrictSerializer):
    """Of instructions, and of what a function returned."""

    content = ContentField(_TEXT, help_text="As in a new item.")


EDITS: Mapping[str, type[StrictSerializer]] = {
    "user": UserEditSerializer,
    "assistant": AssistantEditSerializer,
    "system": TextEditSerializer,
    "tool": TextEditSerializer,
}
"""The bodies of edits by the edited message's role."""
