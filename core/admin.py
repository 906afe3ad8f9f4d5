"""Helpers shared by every app's admin: a read-only admin class, links to rows, filters with fixed values."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from core.ids import parse_id


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A read-only admin whose search also accepts public ids."""

    id_prefix = ""
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    date_hierarchy: ClassVar[str | None] = "created_at"
    show_full_result_count = False
    actions: tuple[str, ...] | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, or Django's error page if no row can match the query string."""
        if any("\x00" in value for values in request.GET.lists() for value in values[1]):
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")  # PostgreSQL text cannot hold NUL
        try:
            page = super().changelist_view(request, extra_context)
            # rendering queries the database too, so its errors have to be caught here
            return page.render() if isinstance(page, TemplateResponse) else page
        except (ValueError, OverflowError, ValidationError, DataError):
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        id = parse_id(self.id_prefix, search_term.strip())
        if id is not None:
            return queryset.filter(pk=id), False
        return super().get_search_results(request, queryset, search_term)


def link_to(row: Model | None) -> str:
    if row is None:
        return "–"
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row)


def link_column(field: str, description: str) -> Callable[[Any, Any], str]:
    """Return a column with a link to the row that a foreign key names."""

    @admin.display(description=description)
    def column(model_admin: Any, row: Model) -> str:
        return link_to(getattr(row, field))

    return column


class FixedFilter(admin.SimpleListFilter):
    """A filter with fixed values, so that the table need not be read to list them."""

    values: Iterable[str] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.filter_rows(queryset, self.value() or "") if self.value() else queryset

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name or "": value})
