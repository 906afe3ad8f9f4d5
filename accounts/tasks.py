"""Background tasks for accounts."""

from celery import shared_task
from django.conf import settings
from django.core.management import call_command

from accounts.security_events.recording import delete_old_events


@shared_task
def clear_sessions() -> None:
    """Delete expired browser sessions."""
    call_command("clearsessions")


@shared_task
def delete_old_security_events() -> None:
    delete_old_events(settings.CHATAPI_SECURITY_EVENT_DAYS)
