"""A page on which a deed is done: a form, the verb it calls, and a line in the admin's log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from billing.admin.base import MoneyAdmin
from billing.exceptions import BillingError

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What was done, and with which row. `warning` is what the operator should know of it."""

    row: Model
    text: str
    is_new: bool = True
    warning: str = ""


@dataclass(frozen=True, slots=True)
class AdminAction:
    """`do` is given the form's values and who signed in; it raises `BillingError`."""

    title: str
    button: str
    form: forms.Form
    do: Callable[[Values, str], ActionResult]
    row: Model | None = None
    adds: bool = False
    note: str = ""


def action_page(model_admin: MoneyAdmin, request: HttpRequest, deed: AdminAction) -> HttpResponse:
    if not model_admin.may_act(request):
        raise PermissionDenied
    if request.method == "POST" and deed.form.is_valid():
        try:
            done = _do(model_admin, request, deed)
        except BillingError as problem:
            deed.form.add_error(None, str(problem))
        else:
            return _done(model_admin, request, done)
    fieldsets = [(None, {"fields": list(deed.form.fields)})]
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": deed.title,
        "deed": deed,
        "row_url": deed.row and _url_of(model_admin, deed.row),
        "adminform": AdminForm(cast("Any", deed.form), fieldsets, {}, model_admin=model_admin),
        "errors": deed.form.errors,
        "has_view_permission": True,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "billing/admin/deed.html", context)


def row_for_action(model_admin: MoneyAdmin, request: HttpRequest, id: Any) -> Any:
    if not model_admin.may_act(request):
        raise PermissionDenied
    row = model_admin.get_object(request, str(id))
    if row is None:
        raise Http404
    return row


def action_path(model_admin: MoneyAdmin, deed: str, view: Callable[..., HttpResponse]) -> URLPattern:
    name = f"{model_admin.opts.app_label}_{model_admin.opts.model_name}_{deed}"
    return path(f"<uuid:id>/{deed}/", model_admin.admin_site.admin_view(view), name=name)


def _do(model_admin: MoneyAdmin, request: HttpRequest, deed: AdminAction) -> ActionResult:
    with transaction.atomic():
        done = deed.do(deed.form.cleaned_data, str(request.user))
        if done.is_new:
            log = model_admin.log_addition if deed.adds else model_admin.log_change
            log(request, done.row, done.text)
    return done


def _done(model_admin: MoneyAdmin, request: HttpRequest, done: ActionResult) -> HttpResponse:
    (messages.success if done.is_new else messages.warning)(request, done.text)
    if done.warning:
        messages.warning(request, done.warning)
    place = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    if done.row.pk is None or not type(done.row)._default_manager.filter(pk=done.row.pk).exists():
        return HttpResponseRedirect(reverse(f"{place}_changelist"))
    return HttpResponseRedirect(_url_of(model_admin, done.row))


def _url_of(model_admin: MoneyAdmin, row: Model) -> str:
    return reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_change", args=[row.pk])


def posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None
