from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.tasks import clear_sessions


def test_expired_sessions_are_deleted(db: None) -> None:
    now = timezone.now()
    Session.objects.create(session_key="old", session_data="", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="new", session_data="", expire_date=now + timedelta(days=1))

    clear_sessions()

    assert [session.session_key for session in Session.objects.all()] == ["new"]


def test_the_schedule_names_a_task_that_exists() -> None:
    from chatapi.celery import app

    app.autodiscover_tasks(force=True)
    named = app.conf.beat_schedule["clear-sessions"]["task"]

    assert named == clear_sessions.name
    assert named in app.tasks
