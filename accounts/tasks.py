"""Background work on accounts."""

from celery import shared_task
from django.core.management import call_command


@shared_task
def clear_sessions() -> None:
    """Delete the browser sessions that are past their end."""
    call_command("clearsessions")
