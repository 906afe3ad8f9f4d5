"""Mails: kept while the mail server is away, tried again, given up, and never in a collected log."""

import logging
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.models import OutgoingMail
from accounts.sign_in.mail import LOG_BACKEND, queue, send_due
from accounts.tasks import send_mail
from core.known_secrets import KNOWN_SECRETS
from tests.support.mail_servers import closed_port, mail_server
from tests.support.signing_in import user_with_password

ALICE = "alice@example.com"
LINK = "https://chat.example/accounts/password/reset/key/1-secret/"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
SMTP_PASSWORD = "pa55word-of-the-mail-server"


def use_server(settings: Settings, port: int) -> None:
    settings.EMAIL_BACKEND = SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "chatapi", SMTP_PASSWORD
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False


def let_a_minute_pass() -> None:
    OutgoingMail.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def mail() -> EmailMessage:
    return EmailMessage("Reset your password", f"Follow {LINK}", to=[ALICE])


def test_a_mail_waits_for_the_mail_server(
    db: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    use_server(settings, closed_port())
    queue(mail())
    send_mail()
    assert OutgoingMail.objects.count() == 1
    assert "did not take a mail, to be tried again: ConnectionRefusedError" in caplog.text
    with mail_server() as server:
        use_server(settings, server.port)
        send_mail()
        assert server.mails == [], "the next try is in a minute"
        let_a_minute_pass()
        send_mail()
        send_mail()
    [taken] = server.mails
    assert LINK in taken
    assert f"To: {ALICE}" in taken
    assert OutgoingMail.objects.count() == 0


def test_a_mail_is_given_up_after_a_day(
    db: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    use_server(settings, closed_port())
    queue(mail())
    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(days=1, minutes=1))
    send_due()
    assert OutgoingMail.objects.count() == 0
    assert "given up after a day" in caplog.text
    assert ALICE not in caplog.text


def test_a_mail_that_cannot_be_read_any_more_holds_up_nothing(
    db: None, settings: Settings, mailoutbox: list[EmailMessage], caplog: pytest.LogCaptureFixture
) -> None:
    queue(mail())
    settings.SECRET_KEY = "another key than before, of fifty letters or so" * 2
    queue(mail())
    send_due()
    assert len(mailoutbox) == 1
    assert OutgoingMail.objects.count() == 0
    assert "another CHATAPI_SECRET_KEY" in caplog.text


def test_a_mail_lies_encrypted(db: None) -> None:
    queue(mail())
    assert "secret" not in str(OutgoingMail.objects.values())


def test_a_request_that_mails_works_while_the_mail_server_is_away(db: None, settings: Settings) -> None:
    user_with_password(ALICE)
    use_server(settings, closed_port())
    assert Client().post("/accounts/password/reset/", {"email": ALICE}).status_code == 302


def test_asking_for_a_link_costs_little_more_for_a_known_address(db: None) -> None:
    """A mail that was sent at once would show by its time; a row does not."""
    user_with_password(ALICE)
    counts = []
    for email in ("nobody@example.com", ALICE):
        with CaptureQueriesContext(connection) as queries:
            Client().post("/accounts/password/reset/", {"email": email})
        counts.append(len(queries))
    assert counts[1] - counts[0] <= 6


# --- without a mail server ------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [False, True])
def test_a_link_is_in_the_log_only_where_a_setting_says_so(
    db: None, settings: Settings, caplog: pytest.LogCaptureFixture, shown: bool
) -> None:
    settings.EMAIL_BACKEND, settings.CHATAPI_MAIL_IN_LOG = LOG_BACKEND, shown
    queue(mail())
    send_due()
    assert (LINK in caplog.text, ALICE in caplog.text) == (shown, shown)
    assert "Reset your password" in caplog.text
    assert "CHATAPI_EMAIL_URL names no mail server" in caplog.text
    assert ("CHATAPI_MAIL_IN_LOG=1 shows such mails here" in caplog.text) is not shown
    assert all(entry.levelno == logging.WARNING for entry in caplog.records)


# --- manage.py send_test_mail ---------------------------------------------------------------------


def test_the_command_sends_a_mail(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with mail_server() as server:
        use_server(settings, server.port)
        call_command("send_test_mail", ALICE)
    assert "This service can send mail." in server.mails[0]
    assert capsys.readouterr().out == (
        f"127.0.0.1:{server.port} has taken a mail from chatapi@localhost to {ALICE}.\n"
    )


def test_the_command_says_in_one_line_why_not(settings: Settings) -> None:
    KNOWN_SECRETS.add(SMTP_PASSWORD)  # as chatapi.env does
    with mail_server(refuses=True) as server:
        use_server(settings, server.port)
        with pytest.raises(CommandError) as refused:
            call_command("send_test_mail", ALICE)
    assert str(refused.value).startswith(f"127.0.0.1:{server.port} did not take the mail: ")
    assert_one_line_without_secret(str(refused.value))
    use_server(settings, closed_port())
    with pytest.raises(CommandError, match="did not take the mail: .*refused") as unreachable:
        call_command("send_test_mail", ALICE)
    assert_one_line_without_secret(str(unreachable.value))


def assert_one_line_without_secret(text: str) -> None:
    assert "\n" not in text
    assert SMTP_PASSWORD not in text


@pytest.mark.parametrize("address", ["", "nobody", "a@b\nBcc: c@d.example", "a b@example.com"])
def test_the_command_takes_no_address_that_is_none(settings: Settings, address: str) -> None:
    with pytest.raises(CommandError, match="is not an email address"):
        call_command("send_test_mail", address)


def test_the_command_says_that_no_server_is_configured(settings: Settings) -> None:
    settings.EMAIL_BACKEND = LOG_BACKEND
    with pytest.raises(CommandError, match="Set CHATAPI_EMAIL_URL"):
        call_command("send_test_mail", ALICE)
