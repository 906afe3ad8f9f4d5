"""Form fields for operators: amounts in USD, workspaces, keys and reasons."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.db.models import Q

from accounts.models import ApiKey, User, Workspace
from billing.ledger import REASON_LENGTH
from core.admin_rights import may_view
from core.ids import KEY, PROJECT, new_id, parse_id
from core.money import InvalidAmount, format_usd, usd_to_nano


class UsdField(forms.CharField):
    """A decimal number of USD. Its value is in nano-USD, or None if left empty."""

    def __init__(self, **options: Any) -> None:
        widget = AdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off", "size": 20})
        super().__init__(**{"widget": widget, "empty_value": None, **options})

    def prepare_value(self, value: Any) -> Any:
        return format_usd(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if text is None:
            return None
        try:
            return usd_to_nano(text)
        except InvalidAmount as error:
            raise ValidationError(str(error)) from None


class WorkspaceField(forms.CharField):
    """A workspace, by its id, its name, or the email address of the user whose personal workspace it is.

    Names and addresses find nothing for those who may not view them, and could guess.
    """

    def __init__(self, **options: Any) -> None:
        hint = "Its id, its name, or the e-mail address of the user whose own it is."
        super().__init__(**{"widget": AdminTextInputWidget(), "help_text": hint, **options})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        id = parse_id(PROJECT, text) or _uuid(text)
        found = list(Workspace.objects.filter(Q(pk=id) if id else _by_name(text))[:2])
        if not found:
            raise ValidationError(f"There is no workspace {text[:100]!r}.")
        if len(found) > 1:
            raise ValidationError("Several workspaces have this name: write the id of one.")
        return found[0]


def _by_name(text: str) -> Q:
    nothing = Q(pk__in=())
    by_name = Q(name=text) if may_view(Workspace) else nothing
    return by_name | (Q(personal_of__email__iexact=text) if may_view(User) else nothing)


class KeyField(forms.CharField):
    """A key, by its id or by the start of its secret, as lists of keys show it."""

    def __init__(self, **options: Any) -> None:
        hint = "Empty: for the workspace as a whole. Else the key's id, or what the list of keys shows of it."
        super().__init__(
            **{"widget": AdminTextInputWidget(), "help_text": hint, "required": False, **options}
        )

    def clean(self, value: Any) -> Any:
        text = super().clean(value).removesuffix("…")
        if not text:
            return None
        id = parse_id(KEY, text) or _uuid(text)
        by_prefix = Q(prefix=text) if may_view(ApiKey) else Q(pk__in=())
        found = list(ApiKey.objects.filter(Q(pk=id) if id else by_prefix)[:2])
        if not found:
            raise ValidationError("There is no such key.")
        if len(found) > 1:
            raise ValidationError("Several keys begin like this: write the id of one.")
        return found[0]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        help_text="Why. It stays in the books.",
    )


class MoneyForm(ReasonForm):
    amount = UsdField(label="Amount in USD", help_text="Such as 25 or 0.000001.")
    token = forms.UUIDField(widget=forms.HiddenInput, initial=new_id)
    field_order: tuple[str, ...] = ("amount", "reason", "token")

    def reference(self) -> str:
        """Return this page's own reference: a form that is sent twice is executed once."""
        return f"admin {self.cleaned_data['token']}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
