"""Alerts tell operators what needs them: each is raised once, and stays open for as long as its cause."""

import logging
import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from celery import current_app
from django.conf import settings as product_settings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from billing import ledger, operator_alerts, tasks
from billing.charge_posting import post_settled
from billing.models import Alert, Wallet
from billing.prices import add_price
from chatapi.env import env_mail_server
from core.money import format_usd
from tests.support.billed_months import USD, create_wallet, day, frozen_clock, hold_call, settle_call
from tests.support.people import Person

Kind = Alert.Kind


def open_alerts(kind: Alert.Kind) -> list[str]:
    return list(Alert.objects.filter(kind=kind, settled_at=None).values_list("text", flat=True))


def logged_alerts(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log messages about alerts."""
    return [record.message for record in caplog.records if record.name == operator_alerts.__name__]


@pytest.fixture
def wallet(alice: Person) -> Wallet:
    """Alice's wallet, with 5 USD and an alert below 2."""
    ledger.top_up(alice.workspace.id, 5 * USD, reason="paid", by="treasurer")
    Wallet.objects.update(low_balance=2 * USD)
    return Wallet.objects.get()


# --- wallets --------------------------------------------------------------------------------------


def test_a_low_balance_is_reported_once_and_settled_by_a_top_up(
    alice: Person, wallet: Wallet, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.alert_low_balances()
    assert open_alerts(Kind.LOW_BALANCE) == []

    ledger.adjust(wallet.workspace_id, -4 * USD, reason="a test", by="treasurer")
    for _ in range(3):
        tasks.alert_low_balances()
    text = f"The workspace {wallet.workspace_id} has 1.00 USD left to spend, less than 2.00 USD."
    assert open_alerts(Kind.LOW_BALANCE) == [text]
    assert logged_alerts(caplog) == [text]

    ledger.top_up(wallet.workspace_id, USD, reason="paid", by="treasurer")  # exactly 2 USD again
    tasks.alert_low_balances()
    assert open_alerts(Kind.LOW_BALANCE) == []

    ledger.adjust(wallet.workspace_id, -1, reason="a test", by="treasurer")
    tasks.alert_low_balances()
    assert len(logged_alerts(caplog)) == Alert.objects.count() == 2


def test_what_is_held_is_not_left_to_spend(alice: Person, wallet: Wallet) -> None:
    Wallet.objects.update(low_balance=5 * USD)
    hold = hold_call(alice, day(3))
    tasks.alert_low_balances()
    [text] = open_alerts(Kind.LOW_BALANCE)
    assert f"has {format_usd(5 * USD - hold.amount)} USD left" in text


def test_an_open_alert_shows_the_current_state(wallet: Wallet, caplog: pytest.LogCaptureFixture) -> None:
    for expected in ("1.00", "0.50"):
        balance = Wallet.objects.get().balance
        wanted = USD if expected == "1.00" else USD // 2
        ledger.adjust(wallet.workspace_id, wanted - balance, reason="a test", by="treasurer")
        tasks.alert_low_balances()
        [text] = open_alerts(Kind.LOW_BALANCE)
        assert f"has {expected} USD left" in text
    assert len(logged_alerts(caplog)) == 1


def test_wallets_without_a_threshold_or_a_limit_raise_nothing(alice: Person, charlie: Person) -> None:
    create_wallet(alice)
    Wallet.objects.update(low_balance=USD)  # it has no limit
    create_wallet(charlie, credit=0)  # it has no threshold
    tasks.alert_low_balances()
    tasks.alert_overdrawn()
    assert not Alert.objects.exists()


def test_credit_counts_as_left_to_spend(alice: Person) -> None:
    create_wallet(alice, credit=3 * USD)
    Wallet.objects.update(low_balance=2 * USD)
    tasks.alert_low_balances()
    assert not Alert.objects.exists()


def test_an_overdrawn_wallet_is_reported(
    alice: Person, wallet: Wallet, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.adjust(wallet.workspace_id, -5 * USD, reason="all of it", by="treasurer")
    tasks.alert_overdrawn()
    assert not Alert.objects.exists()
    ledger.adjust(wallet.workspace_id, -1, reason="more than that", by="treasurer")
    for _ in range(2):
        tasks.alert_overdrawn()
    text = f"The workspace {wallet.workspace_id} has overdrawn its wallet by 0.000000001 USD."
    assert open_alerts(Kind.OVERDRAWN) == logged_alerts(caplog) == [text]
    tasks.alert_low_balances()  # a separate alert
    assert Alert.objects.filter(settled_at=None).count() == 2
    ledger.top_up(wallet.workspace_id, 1, reason="paid", by="treasurer")
    tasks.alert_overdrawn()
    assert open_alerts(Kind.OVERDRAWN) == []


# --- models without a price -----------------------------------------------------------------------


def unpriced_calls(who: Person, model: str, count: int) -> None:
    for _ in range(count):
        settle_call(who, timezone.now(), model=model, is_priced=False)
    post_settled()


def test_models_without_a_price_are_reported_with_their_number_of_calls(
    alice: Person, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHATAPI_UNPRICED = "record"
    create_wallet(alice)
    unpriced_calls(alice, "gpt", 2)
    unpriced_calls(alice, "other", 1)
    settle_call(alice, timezone.now(), model="priced")
    post_settled()
    tasks.alert_unpriced()
    text = "{} calls of the last 7 days to the model {!r}, which has no price, were billed to nobody."
    assert sorted(open_alerts(Kind.UNPRICED)) == [text.format(1, "other"), text.format(2, "gpt")]

    unpriced_calls(alice, "gpt", 1)
    tasks.alert_unpriced()
    assert text.format(3, "gpt") in open_alerts(Kind.UNPRICED)
    assert len(logged_alerts(caplog)) == 2  # not reported again

    add_price("gpt", None)
    tasks.alert_unpriced()
    assert open_alerts(Kind.UNPRICED) == [text.format(1, "other")]
    with frozen_clock(timezone.now() + operator_alerts.UNPRICED_WINDOW + timedelta(hours=2)):
        tasks.alert_unpriced()
    assert open_alerts(Kind.UNPRICED) == []


# --- several workers ------------------------------------------------------------------------------


def test_several_workers_at_once_raise_one_alert(
    transactional_db: None, wallet: Wallet, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    settings.ADMINS = [("Ada", "ada@example.com")]
    ledger.adjust(wallet.workspace_id, -6 * USD, reason="a test", by="treasurer")
    barrier = Barrier(4, timeout=60)

    def work(_: int) -> None:
        try:
            barrier.wait()
            tasks.alert_low_balances()
            tasks.alert_overdrawn()
            barrier.wait()
            tasks.mail_alerts()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    assert Alert.objects.count() == 2
    assert len(logged_alerts(caplog)) == 2
    assert sum(message.body.count("The workspace") for message in mail.outbox) == 2


# --- mail -----------------------------------------------------------------------------------------


@pytest.fixture
def ada(settings: Settings) -> str:
    """The address that alerts are mailed to."""
    settings.ADMINS = [("Ada", "ada@example.com")]
    return "ada@example.com"


def test_an_alert_is_mailed_once(ada: str, wallet: Wallet) -> None:
    ledger.adjust(wallet.workspace_id, -4 * USD, reason="a test", by="treasurer")
    tasks.alert_low_balances()
    for _ in range(2):
        tasks.mail_alerts()
    [message] = mail.outbox
    assert message.to == [ada]
    assert message.subject == "[chatapi] " + open_alerts(Kind.LOW_BALANCE)[0][:100]
    assert message.body == open_alerts(Kind.LOW_BALANCE)[0]


def test_many_alerts_are_sent_in_one_mail(ada: str, db: None) -> None:
    operator_alerts.sync_alerts(
        Kind.UNPRICED, {f"model-{number}": f"The model {number}\nhas no price." for number in range(60)}
    )
    tasks.mail_alerts()
    [message] = mail.outbox
    assert message.subject == "[chatapi] 60 alerts"
    assert message.body.count("has no price.") == operator_alerts.MAX_ALERTS_PER_MAIL
    assert message.body.endswith("And 10 more, which the admin site lists.")


def test_a_subject_has_no_line_break(ada: str, db: None) -> None:
    operator_alerts.sync_alerts(
        Kind.UNPRICED, {"odd": "The model 'a\nBcc: everybody@example.com' has no price."}
    )
    tasks.mail_alerts()
    assert mail.outbox[0].subject == "[chatapi] The model 'a Bcc: everybody@example.com' has no price."


class RefusingBackend(BaseEmailBackend):
    failure: Exception = ConnectionRefusedError()

    def send_messages(self, messages: object) -> int:
        raise self.failure


class SilentBackend(RefusingBackend):
    failure = TimeoutError()


class ForeignBackend(RefusingBackend):
    failure = smtplib.SMTPAuthenticationError(535, b"no")


@pytest.mark.parametrize("backend", [RefusingBackend, SilentBackend, ForeignBackend])
def test_a_failing_mail_server_loses_and_repeats_nothing(
    ada: str, db: None, settings: Settings, caplog: pytest.LogCaptureFixture, backend: type[RefusingBackend]
) -> None:
    operator_alerts.sync_alerts(Kind.OVERDRAWN, {"one": "The first."})
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.{backend.__name__}"
    for _ in range(2):
        tasks.mail_alerts()
    settings.EMAIL_BACKEND = working
    assert mail.outbox == []
    assert "Alerts could not be mailed, to be tried again" in caplog.text
    for _ in range(2):
        tasks.mail_alerts()
    assert [message.body for message in mail.outbox] == ["The first."]
    assert caplog.text.count("The first.") == 1


def test_an_alert_settled_before_it_could_be_mailed_is_not_mailed(ada: str, db: None) -> None:
    operator_alerts.sync_alerts(Kind.OVERDRAWN, {"one": "The first."})
    operator_alerts.sync_alerts(Kind.OVERDRAWN, {})
    tasks.mail_alerts()
    assert mail.outbox == []


def test_without_recipients_no_alert_is_marked_as_mailed(db: None, settings: Settings) -> None:
    settings.ADMINS = []
    operator_alerts.sync_alerts(Kind.OVERDRAWN, {"one": "The first."})
    tasks.mail_alerts()
    assert Alert.objects.get().mailed_at is None


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", ("localhost", 25, "", "", False, False)),
        ("smtp://mail.example.com", ("mail.example.com", 25, "", "", False, False)),
        ("smtp+tls://ada:p%40ss@mail.example.com", ("mail.example.com", 587, "ada", "p@ss", True, False)),
        ("smtps://ada:pass@mail.example.com:4650", ("mail.example.com", 4650, "ada", "pass", False, True)),
    ],
)
def test_a_mail_server_is_one_url(
    url: str, server: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_EMAIL_URL", url)
    assert env_mail_server("CHATAPI_EMAIL_URL") == server


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail:secret@x", "smtp://a:secret@x:port"])
def test_an_invalid_mail_server_url_is_refused_without_showing_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_EMAIL_URL", url)
    with pytest.raises(SystemExit, match="CHATAPI_EMAIL_URL is no mail server's URL") as refusal:
        env_mail_server("CHATAPI_EMAIL_URL")
    assert "secret" not in str(refusal.value)


def test_request_errors_are_not_mailed(settings: Settings) -> None:
    """Django's own logging settings would mail them."""
    for name in ("django", "django.request", "django.server", None):
        handlers = logging.getLogger(name).handlers
        assert not any(type(handler).__name__ == "AdminEmailHandler" for handler in handlers)


def test_the_schedule_names_tasks_that_exist() -> None:
    current_app.loader.import_default_modules()
    for entry in product_settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in current_app.tasks


def test_no_alert_tells_a_secret(
    db: None, caplog: pytest.LogCaptureFixture, settings: Settings, mailoutbox: list[mail.EmailMessage]
) -> None:
    settings.ADMINS = [("root@example.com", "root@example.com")]
    text = "Stripe refused it: no such key sk_live_51H8abcdefghijkl at https://u:hunter2@h/v1"

    operator_alerts.sync_alerts(Kind.EXPORT, {"stripe": text})
    operator_alerts.sync_alerts(Kind.EXPORT, {"stripe": text})
    operator_alerts.mail_new_alerts()

    masked = "Stripe refused it: no such key *** at https://***@h/v1"
    assert open_alerts(Kind.EXPORT) == logged_alerts(caplog) == [masked]
    assert masked in str(mailoutbox[0].body)
