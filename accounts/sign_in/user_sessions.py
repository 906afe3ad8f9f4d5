"""Ending sessions of a user, wherever they are."""

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from accounts.models import User

MAX_SESSIONS = 100
"""How many a user keeps, the newest: their list is read as a whole."""


def end_sessions(user: User) -> None:
    _end(UserSession.objects.filter(user=user))


def keep_newest_sessions(user: User) -> None:
    newest = UserSession.objects.filter(user=user).order_by("-last_seen_at", "-pk")
    _end(UserSession.objects.filter(pk__in=list(newest.values_list("pk", flat=True)[MAX_SESSIONS:][:1000])))


def _end(sessions: QuerySet[UserSession]) -> None:
    keys = list(sessions.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    sessions.delete()
