"""Sessions in the database that end when nobody has used them for CHATAPI_SESSION_IDLE_SECONDS.

This is the one place where their end is moved, whatever uses them: pages, the API or streaming endpoints.
"""

import re
from datetime import timedelta
from typing import Any, cast

from allauth.core import context
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.authentication import SESSION_TOKEN

_KEY = re.compile(r"[a-z0-9]{32}")
MAX_STEP_SECONDS = 300
"""A session's use is written down at most this often."""


class SessionStore(DatabaseStore):
    def _validate_session_key(self, key: str | None) -> bool:
        """Take no key that was never ours: some are no text that a database knows."""
        return bool(key) and bool(_KEY.fullmatch(key or ""))

    def exists(self, session_key: str) -> bool:
        return self._validate_session_key(session_key) and bool(super().exists(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        session = cast("Session", super().create_model_instance(data))
        session.expire_date = timezone.now() + _idle_time()
        return session

    def _get_session_from_db(self) -> Session | None:
        session: Session | None = super()._get_session_from_db()  # type: ignore[misc]
        if session is not None and _is_used(session.session_key):
            _extend(session)
        return session


def _is_used(session_key: str) -> bool:
    """Tell a session that a request came with from those that are only looked at, for a list of them."""
    request = context.request
    if request is None:  # a streaming endpoint, which is outside Django
        return True
    return session_key in {
        request.COOKIES.get(settings.SESSION_COOKIE_NAME),
        request.headers.get(SESSION_TOKEN),
    }


def _extend(session: Session) -> None:
    """Write down that a session is used. One that was ended meanwhile stays ended."""
    idle, now = _idle_time(), timezone.now()
    step = min(timedelta(seconds=MAX_STEP_SECONDS), idle / 10)
    if session.expire_date - now > idle - step:
        return
    rows = Session.objects.filter(session_key=session.session_key, expire_date=session.expire_date)
    if rows.update(expire_date=now + idle):
        UserSession.objects.filter(session_key=session.session_key).update(last_seen_at=now)


def _idle_time() -> timedelta:
    return timedelta(seconds=settings.CHATAPI_SESSION_IDLE_SECONDS)
