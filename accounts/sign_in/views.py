"""Pages that allauth does not have: what people see first, their sessions one by one, and invitations."""

from typing import Any, cast

from allauth.account.internal.flows.logout import logout
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.generic import TemplateView, View

from accounts.models import Membership, User, Workspace
from accounts.security_events.recording import origin_of
from accounts.selectors import memberships_of
from accounts.sign_in.invitations import invited_by, shown_name
from accounts.sign_in.mfa_adapter import has_second_factor
from accounts.sign_in.user_agents import describe
from accounts.workspaces.acceptance import accept, reason_not_to_accept
from accounts.workspaces.invitations import present_into_workspace
from core.exceptions import Conflict, Forbidden


class HomeView(LoginRequiredMixin, TemplateView):
    template_name = "accounts/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = cast("User", self.request.user)
        shared = [one for one in memberships_of(user) if one.workspace.personal_of_id != user.pk]
        return super().get_context_data(
            has_second_factor=has_second_factor(user), memberships=shared, **kwargs
        )


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


class InvitationView(View):
    """An invitation into a workspace: who invites, where to, and one button.

    Who is not signed in does that first, or signs up, and comes back. What does not work is refused, which
    people see as a page.
    """

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = present_into_workspace(token).invitation
        context: dict[str, Any] = {
            "invitation": invitation,
            "invited_by": invited_by(invitation),
            "workspace_name": shown_name(cast("Workspace", invitation.workspace)),
            "token": token,
            "can_sign_up": settings.CHATAPI_SIGN_UP != "closed",
        }
        if request.user.is_authenticated:
            members = Membership.objects.filter(workspace=invitation.workspace_id)
            context["is_member"] = members.filter(user=request.user).exists()
            refusal = reason_not_to_accept(invitation, request.user)
            context["refusal"] = refusal.code if refusal else None
        return TemplateResponse(request, "accounts/invitation.html", context)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        invitation = present_into_workspace(token).invitation
        try:
            membership = accept(invitation, request.user, origin=origin_of(request))
        except (Conflict, Forbidden):  # which the page says
            return self.get(request, token)
        messages.success(request, f"You are a member of {membership.workspace.name} now.")
        return redirect("account_home")
