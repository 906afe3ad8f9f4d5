"""Background tasks for accounts."""

from celery import shared_task
from django.core.management import call_command


@shared_task
def clear_sessions() -> None:
    """Delete expired browser sessions."""
    call_command("clearsessions")
