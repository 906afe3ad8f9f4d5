"""Pages that allauth does not have: what people see first, and their sessions one by one."""

from typing import Any

from allauth.account.internal.flows.logout import logout
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import TemplateView

from accounts.sign_in.mfa_adapter import has_second_factor
from accounts.sign_in.user_agents import describe


class HomeView(LoginRequiredMixin, TemplateView):
    template_name = "accounts/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(has_second_factor=has_second_factor(self.request.user), **kwargs)


class SessionsView(LoginRequiredMixin, TemplateView):
    """Where somebody is signed in, to end one session, the others, or all."""

    template_name = "accounts/sessions.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sessions = sorted(self._sessions(), key=lambda session: session.last_seen_at, reverse=True)
        named = [(session, describe(session.user_agent)) for session in sessions]
        return super().get_context_data(sessions=named, **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        sessions = self._sessions()
        match request.POST.get("end"):
            case "all":
                end_sessions(request, sessions)
                logout(request)
                return redirect("account_login")
            case "others":
                ended = [session for session in sessions if not session.is_current()]
            case chosen:
                ended = [session for session in sessions if str(session.pk) == chosen]
        end_sessions(request, ended)
        if ended:
            messages.success(request, f"Ended: {len(ended)} session{'' if len(ended) == 1 else 's'}.")
        return redirect("usersessions_list")

    def _sessions(self) -> list[UserSession]:
        return list(UserSession.objects.purge_and_list(self.request.user))
