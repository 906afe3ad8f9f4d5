"""An admin site without a sign-in of its own."""

from typing import Any

from allauth.core.internal.httpkit import add_query_params
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse

from accounts.sign_in.mfa_adapter import may_be_staff


class AdminSite(admin.AdminSite):
    site_header = site_title = "chatapi"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and may_be_staff(request.user)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send people to where they get what they lack: the sign-in page, or the one for second factors."""
        if not request.user.is_authenticated:
            wanted = request.GET.get(REDIRECT_FIELD_NAME) or self._index
            return HttpResponseRedirect(add_query_params(settings.LOGIN_URL, {REDIRECT_FIELD_NAME: wanted}))
        if not super().has_permission(request):
            raise PermissionDenied
        if not may_be_staff(request.user):
            messages.warning(request, "The admin site needs a second factor here. Add one, then go on.")
            return redirect("mfa_index")
        return redirect(self._index)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")

    @property
    def _index(self) -> str:
        return reverse("admin:index", current_app=self.name)
