"""The service's adapter for allauth's list of sessions."""

from collections.abc import Sequence

from allauth.core import context
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession

from accounts.security_events.recording import Kind, record


class SessionsAdapter(DefaultUserSessionsAdapter):  # type: ignore[misc]
    def end_sessions(self, sessions: Sequence[UserSession]) -> None:
        super().end_sessions(sessions)
        if sessions:
            record(Kind.SESSIONS_ENDED, user=sessions[0].user, request=context.request, count=len(sessions))
