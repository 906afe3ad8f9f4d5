"""Amounts, times, workspaces and ids as the admin site shows and reads them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from accounts.models import User, Workspace
from core.admin_rights import may_view
from core.ids import (
    BUDGET,
    COMPLETION,
    END_USER_TOKEN,
    KEY,
    PROJECT,
    SPEECH,
    TRANSACTION,
    parse_id,
    parse_user_id,
)
from core.money import format_usd

_PREFIXES = (COMPLETION, SPEECH, PROJECT, KEY, END_USER_TOKEN, TRANSACTION, BUDGET)


def usd(nano: int | None) -> str:
    return "–" if nano is None else format_usd(nano)


def usd_column(field: str, description: str) -> Callable[[Any, Any], str]:
    """Return a column with an amount, which can be sorted by."""

    @admin.display(description=f"{description}, USD", ordering=field)
    def column(model_admin: Any, row: Any) -> str:
        return usd(getattr(row, field))

    return column


def no_wrap(text: object) -> str:
    return format_html('<span class="no-wrap">{}</span>', text)


def format_to_second(at: datetime) -> str:
    return no_wrap(f"{at:%Y-%m-%d %H:%M:%S}")


def workspace_link(workspace_id: UUID, names: dict[UUID, str]) -> str:
    """Return a workspace's name, linked to its page; its id if it was deleted or may not be viewed."""
    name = names.get(workspace_id)
    if not may_view(Workspace):
        return str(workspace_id)
    if name is None:
        return format_html('<span title="It was deleted.">{}</span>', workspace_id)
    url = reverse("admin:accounts_workspace_change", args=[workspace_id])
    return format_html('<a href="{}" title="{}">{}</a>', url, workspace_id, name)


def workspace_names_by_id(workspace_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of those workspaces that exist; none to those who may not view workspaces."""
    if not may_view(Workspace):
        return {}
    workspaces = Workspace.objects.filter(pk__in=set(workspace_ids))
    return dict(workspaces.values_list("pk", "name"))


def parse_any_id(text: str) -> UUID | None:
    """Parse one of our ids, as stored or as clients see it."""
    for prefix in _PREFIXES:
        if id := parse_id(prefix, text):
            return id
    try:
        return UUID(text)
    except ValueError:
        return None


def link_to_user(text: str) -> str:
    """Return a link if the text is a user's public id: the books name people only so, and outlive them."""
    user_id = parse_user_id(text)
    if user_id is None or not may_view(User):
        return text or "–"
    return format_html('<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[user_id]), text)
