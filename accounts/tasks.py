"""Background tasks for accounts."""

from celery import shared_task
from django.conf import settings
from django.core.management import call_command

from accounts.deletion import delete_unverified_users
from accounts.keys.end_user_tokens import delete_old_tokens
from accounts.security_events.recording import delete_old_events
from accounts.sign_in import mail
from accounts.sign_in.attempts import delete_forgotten


@shared_task
def clear_sessions() -> None:
    """Delete expired browser sessions."""
    call_command("clearsessions")


@shared_task
def clean_up_sign_in() -> None:
    """Delete what nobody needs any more of attempts to sign in and to sign up."""
    delete_forgotten()
    delete_unverified_users()


@shared_task
def send_mail() -> None:
    """Send the mails that are due."""
    mail.send_due()


@shared_task
def delete_old_security_events() -> None:
    delete_old_events(settings.CHATAPI_SECURITY_EVENT_DAYS)


@shared_task
def delete_old_end_user_tokens() -> None:
    """Delete the end-user tokens that expired long ago."""
    delete_old_tokens()
