"""How the admin shows billing rows: read-only, found by workspace, with links to what can be done."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts.admin.action_page import ActionAdmin
from accounts.models import Workspace
from billing.admin.formatting import parse_any_id, workspace_link, workspace_names_by_id
from billing.exceptions import BillingError
from core.admin import ReadOnlyAdmin
from core.admin_rights import may_view


class WorkspaceNamesChangeList(ChangeList):
    """A page of rows that fetches the names of their workspaces with one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        names = workspace_names_by_id(owner for row in self.result_list if (owner := workspace_id_of(row)))
        for row in self.result_list:
            row.workspace_names = names


def workspace_id_of(row: Any) -> UUID | None:
    """Return the id of a row's workspace; an alert has it only in its `subject`."""
    if hasattr(row, "workspace_id"):
        owner: UUID = row.workspace_id
        return owner
    return parse_any_id(getattr(row, "subject", ""))


class MoneyAdmin(ActionAdmin, ReadOnlyAdmin):
    """Rows are visible with the view permission; actions need the change permission. Nobody edits rows."""

    class Media:
        css: ClassVar = {"all": ("billing/admin.css",)}

    id_fields: Collection[str] = ("pk", "workspace_id")
    text_lookups: Collection[str] = ()
    search_fields: ClassVar[tuple[str, ...]] = ("pk",)  # only to get a search box: see get_search_results
    search_help_text = "Workspace by name or id"
    list_per_page = 50
    action_errors = (BillingError,)
    can_add: ClassVar[bool] = False
    view_pages: ClassVar[Mapping[str, str]] = {}
    """A row's other pages, for anyone who may view it, by their links' labels; `top-up` is `top_up_page`."""
    action_pages: ClassVar[Mapping[str, str]] = {}
    """The same for the actions on a row."""

    def may_act(self, request: HttpRequest, row: Any = None) -> bool:
        permission = get_permission_codename("change", self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{permission}"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields or ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and self.may_act(request)

    def get_urls(self) -> list[URLPattern]:
        return [*map(self._row_path, {**self.view_pages, **self.action_pages}.values()), *super().get_urls()]

    def _row_path(self, page: str) -> URLPattern:
        view: Callable[..., HttpResponse] = getattr(self, f"{page.replace('-', '_')}_page")
        name = f"{self.opts.app_label}_{self.opts.model_name}_{page}"
        return path(f"<uuid:id>/{page}/", self.admin_site.admin_view(view), name=name)

    def actions_on(self, row: Any) -> Mapping[str, str]:
        """Return those of the `action_pages` that make sense for a row."""
        return self.action_pages

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkspaceNamesChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        id = parse_any_id(text)
        found = Q()
        if id is not None:
            for field in self.id_fields:
                found |= Q(**{field: id})
        elif "workspace_id" in self.id_fields and may_view(Workspace):
            found |= Q(workspace_id__in=Workspace.objects.filter(name__icontains=text).values("pk"))
        for lookup in self.text_lookups:
            found |= Q(**{lookup: text})
        return queryset.filter(found), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        pages = {} if row is None else {**self.view_pages}
        if row is not None and self.may_act(request):
            pages |= self.actions_on(row)
        links = [(label, self.page_url(row, page)) for label, page in pages.items()]
        context = {"page_links": links, "subtitle": None, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="workspace")
    def workspace(self, row: Any) -> str:
        owner = workspace_id_of(row)
        if owner is None:
            return "–"
        names = row.workspace_names if hasattr(row, "workspace_names") else workspace_names_by_id([owner])
        return workspace_link(owner, names)
