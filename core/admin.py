"""What every app's admin builds on: model admins that ask what may be viewed, links to rows, filters."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import AdminReadonlyField
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import ForeignKey, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from core.admin_rights import may_search, may_view, name_of
from core.ids import first_id_at, parse_id

COUNTED_ROWS = 2_000
"""How many rows a long list counts, and so shows: to count a million takes longer than to read a page."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED_ROWS].count())


def link_to(row: Model | None) -> str:
    """Return a row's name with a link to its page; only its id for those who may not view the row."""
    if row is None:
        return "–"
    if not may_view(row):
        return name_of(row)
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row)


def link_to_list(model: type[Model], query: str, label: str) -> str:
    """Return a link to those rows that a query string finds, for those who may view such rows."""
    if not may_view(model):
        return label
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, query, label)


def link_column(field: str, description: str) -> Callable[[Any, Any], str]:
    """Return a column with a link to the row that a foreign key names."""

    @admin.display(description=description)
    def column(model_admin: Any, row: Model) -> str:
        return link_to(getattr(row, field))

    return column


def _link_of_readonly_field(readonly_field: Any, remote_field: Any, row: Model) -> str:
    return link_to(row)


# Django links every foreign key that it shows read-only, whoever looks, and has no hook for another link.
AdminReadonlyField.get_admin_url = _link_of_readonly_field  # type: ignore[method-assign, assignment]


@cache
def _name_column(field: ForeignKey[Any, Any]) -> Callable[[Model], str | None]:
    """Return a column with the name of the row that a foreign key names, as far as it may be viewed."""

    @admin.display(description=field.verbose_name, ordering=field.name)
    def column(row: Model) -> str | None:
        related = getattr(row, field.name)
        return None if related is None else name_of(related)

    column.__name__ = field.name
    return column


def _list_column(model: type[Model], name: Any) -> Any:
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return name
    return _name_column(field) if isinstance(field, ForeignKey) else name


class ModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """An admin that names and searches rows of other kinds only for those who may view them."""

    def get_list_display(self, request: HttpRequest) -> Any:
        return [_list_column(self.model, name) for name in super().get_list_display(request)]

    def get_search_fields(self, request: HttpRequest) -> Any:
        return [lookup for lookup in super().get_search_fields(request) if may_search(self.model, lookup)]

    def get_list_filter(self, request: HttpRequest) -> Any:
        return [one for one in super().get_list_filter(request) if self._may_filter_by(one)]

    def _may_filter_by(self, list_filter: Any) -> bool:
        lookup = list_filter[0] if isinstance(list_filter, tuple) else list_filter
        return not isinstance(lookup, str) or may_search(self.model, lookup)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to delete what one may not view: the confirmation shows it."""
        return super().has_delete_permission(request, obj) and self.has_view_permission(request, obj)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed a row; by an id to those who may not view users.

        Django looks for the row first, and so tells who may not view any whether it is there.
        """
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        page = super().history_view(request, object_id, extra_context)
        if isinstance(page, TemplateResponse) and page.context_data and not may_view(get_user_model()):
            for entry in page.context_data["action_list"]:
                entry.user = get_user_model()(email=name_of(entry.user))
        return page


class ReadOnlyAdmin(ModelAdmin):
    """A read-only admin whose search also accepts public ids."""

    id_prefix = ""
    searched: ClassVar[Q] = Q()
    """Which rows a search for anything but an id looks through."""
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    date_hierarchy: ClassVar[str | None] = None  # it would read the whole table: see `MadeFilter`
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
        rows = queryset.filter(self.searched) if search_term else queryset
        return super().get_search_results(request, rows, search_term)


class MadeFilter(admin.SimpleListFilter):
    """When a row was made, by its id, which begins with that time: no other column of a large table tells."""

    title = "made"
    parameter_name = "made"
    _days: ClassVar = {"today": 0, "past 7 days": 6}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        month, months = timezone.now(), []
        for _ in range(12):
            months.append(f"{month:%Y-%m}")
            month = month.replace(day=1) - timedelta(days=1)
        return [(value, value) for value in (*self._days, *months)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        if value in self._days:
            today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
            return queryset.filter(pk__gte=first_id_at(today - timedelta(days=self._days[value])))
        try:
            begin = datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            return queryset.none()
        if not 1970 <= begin.year < 9999:
            return queryset.none()
        end = (begin + timedelta(days=31)).replace(day=1)
        return queryset.filter(pk__gte=first_id_at(begin), pk__lt=first_id_at(end))


class FixedFilter(admin.SimpleListFilter):
    """A filter with fixed values, so that the table need not be read to list them."""

    values: Iterable[str] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.filter_rows(queryset, self.value() or "") if self.value() else queryset

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name or "": value})
