"""Who looks at an admin page, and which rows of other kinds they may view there.

A page shows more than its own row: links to others, their names, a thread with its files. The permission for
the page says nothing about those, so whatever shows one asks here. Outside of a page nobody looks, and
nothing may be viewed.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse

View = Callable[..., HttpResponse]

_request: ContextVar[HttpRequest | None] = ContextVar("admin_request", default=None)


def with_viewer(view: View) -> View:
    """Let whatever a view calls and renders ask what the request's user may view."""

    @wraps(view)
    def view_with_viewer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        token = _request.set(request)
        try:
            page = view(request, *args, **kwargs)
            # columns are computed while a page is rendered, which Django would do after the view
            return page.render() if isinstance(page, SimpleTemplateResponse) else page
        finally:
            _request.reset(token)

    return view_with_viewer


def may_view(what: Model | type[Model]) -> bool:
    """Tell whether whom the page is for may view a row, or rows of this kind, on the pages of its own."""
    request = _request.get()
    model, row = (what, None) if isinstance(what, type) else (type(what), what)
    if request is None or not admin.site.is_registered(model):
        return False
    return bool(admin.site.get_model_admin(model).has_view_permission(request, row))


def name_of(row: Model) -> str:
    """Return a row's name, which may be what somebody wrote; its id for those who may not view the row."""
    if may_view(row):
        return str(row)
    return getattr(row, "public_id", None) or f"{row._meta.verbose_name} {row.pk}"


def may_search(model: type[Model], lookup: str) -> bool:
    """Tell whether a lookup such as `=user__email` searches in rows that may be viewed.

    Whoever searches in others can guess them letter by letter.
    """
    searched: Any = model
    for part in lookup.lstrip("^=@").split("__"):
        relations = {field.name: field.related_model for field in searched._meta.get_fields()}
        if not relations.get(part):
            break
        searched = relations[part]
    return searched is model or may_view(searched)
