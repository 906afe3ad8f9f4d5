from datetime import timedelta
from typing import Any

import pytest
from celery import Task
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.tasks import clear_sessions, delete_old_security_events


def test_expired_sessions_are_deleted(db: None) -> None:
    now = timezone.now()
    Session.objects.create(session_key="old", session_data="", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="new", session_data="", expire_date=now + timedelta(days=1))

    clear_sessions()

    assert [session.session_key for session in Session.objects.all()] == ["new"]


@pytest.mark.parametrize(
    ("entry", "task"),
    [("clear-sessions", clear_sessions), ("delete-old-security-events", delete_old_security_events)],
)
def test_the_schedule_names_a_task_that_exists(entry: str, task: "Task[Any, Any]") -> None:
    from chatapi.celery import app

    app.autodiscover_tasks(force=True)
    named = app.conf.beat_schedule[entry]["task"]

    assert named == task.name
    assert named in app.tasks
