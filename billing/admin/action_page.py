"""Admin pages for actions: a form, the function it calls, and a line in the admin log."""

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
from django.urls import reverse

from accounts.models import User
from billing.admin.money_admin import MoneyAdmin
from billing.exceptions import BillingError
from core.ids import format_user_id

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action did, and to which row. `warning` is anything the operator should know about it."""

    row: Model
    text: str
    is_new: bool = True
    warning: str = ""


@dataclass(frozen=True, slots=True)
class AdminAction:
    """An action and its form. `do` gets the form's values and who signed in; it raises `BillingError`."""

    title: str
    button: str
    form: forms.Form
    do: Callable[[Values, str], ActionResult]
    row: Model | None = None
    adds: bool = False
    note: str = ""


def action_page(model_admin: MoneyAdmin, request: HttpRequest, action: AdminAction) -> HttpResponse:
    if not model_admin.may_act(request):
        raise PermissionDenied
    if request.method == "POST" and action.form.is_valid():
        try:
            result = _perform(model_admin, request, action)
        except BillingError as error:
            action.form.add_error(None, str(error))
        else:
            return _redirect_after(model_admin, request, result)
    fieldsets = [(None, {"fields": list(action.form.fields)})]
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": action.title,
        "action": action,
        "row_url": action.row and _change_url(model_admin, action.row),
        "adminform": AdminForm(cast("Any", action.form), fieldsets, {}, model_admin=model_admin),
        "errors": action.form.errors,
        "has_view_permission": True,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "billing/admin/action.html", context)


def row_for_action(model_admin: MoneyAdmin, request: HttpRequest, id: Any) -> Any:
    if not model_admin.may_act(request):
        raise PermissionDenied
    row = model_admin.get_object(request, str(id))
    if row is None:
        raise Http404
    return row


def _perform(model_admin: MoneyAdmin, request: HttpRequest, action: AdminAction) -> ActionResult:
    with transaction.atomic():
        by = format_user_id(cast("User", request.user).pk)  # the books name nobody, and outlive accounts
        result = action.do(action.form.cleaned_data, by)
        if result.is_new:
            log = model_admin.log_addition if action.adds else model_admin.log_change
            log(request, result.row, result.text)
    return result


def _redirect_after(model_admin: MoneyAdmin, request: HttpRequest, result: ActionResult) -> HttpResponse:
    (messages.success if result.is_new else messages.warning)(request, result.text)
    if result.warning:
        messages.warning(request, result.warning)
    url_name = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    if result.row.pk is None or not type(result.row)._default_manager.filter(pk=result.row.pk).exists():
        return HttpResponseRedirect(reverse(f"{url_name}_changelist"))
    return HttpResponseRedirect(_change_url(model_admin, result.row))


def _change_url(model_admin: MoneyAdmin, row: Model) -> str:
    return reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_change", args=[row.pk])


def post_data(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None
