"""Panels on the admin's pages of keys and workspaces, registered by apps that accounts need not know."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from core.admin import ModelAdmin
from core.value import Value

Pairs = tuple[tuple[str, str], ...]


class Panel(Value, frozen=True):
    """What a page shows beside a row: labels with values, and labels with addresses."""

    title: str
    rows: Pairs
    links: Pairs = ()


PanelMaker = Callable[[Any], Panel | None]
_makers: dict[type[Model], list[PanelMaker]] = defaultdict(list)


def register_panel(model: type[Model], make: PanelMaker) -> None:
    """Register what pages of this model show. It returns None for who may not view what is in it."""
    _makers[model].append(make)


class PanelAdmin(ModelAdmin):
    """An admin whose pages of rows have panels."""

    change_form_template = "accounts/admin/change_form.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        may_view = row is not None and self.has_view_permission(request, row)
        panels = [panel for make in _makers[self.model] if may_view and (panel := make(row))]
        return super().change_view(request, object_id, form_url, {"panels": panels, **(extra_context or {})})
