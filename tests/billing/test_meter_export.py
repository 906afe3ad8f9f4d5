"""Each hour's cost is reported to Stripe's meter exactly once, whatever fails in between."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from billing import meter_export, tasks
from billing.charge_posting import post_settled
from billing.meter_export import Meter, MeterReading
from billing.models import Alert, MeterEvent, UsageRollup, Wallet
from billing.prices import add_price
from billing.stripe_meters import ANSWER_SECONDS, StripeMeter
from billing.units import Units
from chatapi.env import ROOT
from core.ids import new_id
from tests.support.billed_months import (
    COMPLETION,
    PROMPT,
    SHORT,
    SHORT_COST,
    create_wallet,
    day,
    frozen_clock,
    settle_call,
)
from tests.support.people import Person
from tests.support.stripe_api import KEY, METER, Stripe, StripeHandler, stripe_api

LONG = Units(prompt=200, completion=30)
LONG_COST = 200 * PROMPT + 30 * COMPLETION
NOON = day(3, hour=12)


@pytest.fixture
def stripe(settings: Settings) -> Iterator[Stripe]:
    with stripe_api() as fake:
        settings.STRIPE_API_KEY = KEY
        settings.CHATAPI_STRIPE_URL = fake.url
        yield fake


@pytest.fixture
def customer(alice: Person) -> Wallet:
    """Alice's wallet, which Stripe bills."""
    wallet = create_wallet(alice)
    Wallet.objects.update(stripe_customer="cus_alice")
    return wallet


def spend(who: Person, at: datetime, units: Units = SHORT) -> None:
    settle_call(who, at, units)
    post_settled()


def export(stripe: Stripe, at: datetime, task: Callable[[], None] = tasks.export_meters) -> None:
    stripe.now = at.timestamp
    with frozen_clock(at):
        task()


def exporting_to(meter: Meter) -> Callable[[], None]:
    """Return what the regular task does, but with this meter."""
    return lambda: meter_export.export(meter, meter_export.RECENT_WINDOW)


# --- what is reported -----------------------------------------------------------------------------


def test_an_hour_is_reported_once_when_it_is_over(stripe: Stripe, alice: Person, customer: Wallet) -> None:
    spend(alice, NOON + timedelta(minutes=15))
    spend(alice, NOON + timedelta(minutes=45), LONG)
    spend(alice, NOON + timedelta(minutes=80))
    export(stripe, NOON + timedelta(minutes=69))
    assert stripe.events == []

    export(stripe, NOON + timedelta(minutes=70))
    [event] = stripe.events
    assert event.identifier == f"chatapi-{alice.workspace.id.hex}-20260103T12-0"
    assert event.customer == "cus_alice"
    assert event.value == SHORT_COST + LONG_COST
    assert event.timestamp == int(NOON.timestamp())
    assert MeterEvent.objects.get().sent_at is not None

    for minutes in (80, 90, 130):
        export(stripe, NOON + timedelta(minutes=minutes))
    assert [event.value for event in stripe.events] == [SHORT_COST + LONG_COST, SHORT_COST]
    assert stripe.requests == 2


def test_members_and_models_of_a_workspace_are_one_sum(
    stripe: Stripe, alice: Person, bob: Person, charlie: Person, customer: Wallet
) -> None:
    create_wallet(charlie)
    for who in (alice, bob, charlie):
        for model in ("gpt", "other"):
            settle_call(who, NOON, model=model)
    post_settled()
    export(stripe, NOON + timedelta(hours=2))
    assert [(event.customer, event.value) for event in stripe.events] == [("cus_alice", 4 * SHORT_COST)]


def test_usage_that_costs_nothing_is_not_reported(stripe: Stripe, alice: Person, customer: Wallet) -> None:
    with frozen_clock(day(1)):
        add_price("free", None)
    settle_call(alice, NOON, model="free")
    post_settled()
    export(stripe, NOON + timedelta(hours=2))
    assert UsageRollup.objects.exists()
    assert stripe.requests == 0


def test_a_late_posting_is_reported_as_another_part(stripe: Stripe, alice: Person, customer: Wallet) -> None:
    """For example, its process died, and the sweep found it after the hour was reported."""
    spend(alice, NOON)
    export(stripe, NOON + timedelta(minutes=75))
    spend(alice, NOON + timedelta(minutes=59), LONG)
    for minutes in (80, 90):
        export(stripe, NOON + timedelta(minutes=minutes))
    assert [(event.identifier[-14:], event.value) for event in stripe.events] == [
        ("-20260103T12-0", SHORT_COST),
        ("-20260103T12-1", LONG_COST),
    ]


def test_very_late_postings_are_reported_once_a_day(stripe: Stripe, alice: Person, customer: Wallet) -> None:
    spend(alice, NOON)
    export(stripe, NOON + timedelta(days=5))
    assert stripe.events == []
    export(stripe, NOON + timedelta(days=5), tasks.export_late_meters)
    assert stripe.total("cus_alice") == SHORT_COST


def test_a_sum_with_too_many_digits_for_stripe_is_reported_in_parts(
    stripe: Stripe, alice: Person, customer: Wallet
) -> None:
    cost = 2 * 10**15 + 7
    UsageRollup.objects.create(
        id=new_id(), width="hour", starts_at=NOON, workspace_id=alice.workspace.id, model="gpt", cost=cost
    )
    export(stripe, NOON + timedelta(hours=2))
    assert [event.value for event in stripe.events] == [10**15 - 1, 10**15 - 1, 9]
    assert stripe.total("cus_alice") == cost


def test_hours_that_stripe_would_refuse_are_not_reported(
    stripe: Stripe, alice: Person, customer: Wallet
) -> None:
    """The customer was linked late: hours older than 34 days are not sent."""
    spend(alice, NOON)
    spend(alice, NOON + timedelta(days=2), LONG)
    export(stripe, NOON + timedelta(days=35), tasks.export_late_meters)
    assert [event.value for event in stripe.events] == [LONG_COST]
    assert not Alert.objects.exists()


def test_without_a_key_nothing_is_done(
    stripe: Stripe, alice: Person, customer: Wallet, settings: Settings
) -> None:
    settings.STRIPE_API_KEY = ""
    spend(alice, NOON)
    export(stripe, NOON + timedelta(hours=2))
    assert stripe.requests == 0
    assert not MeterEvent.objects.exists()


def test_importing_the_tasks_does_not_load_stripes_package() -> None:
    code = "import django; django.setup(); import billing.tasks, sys; sys.exit('stripe' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


# --- failures -------------------------------------------------------------------------------------


def fails_before(answer: StripeHandler) -> bool:
    answer.respond(500, {"error": {"type": "api_error", "message": "An error occurred"}})
    return True


def fails_after(answer: StripeHandler) -> bool:
    answer.stripe.take(answer.form)
    return fails_before(answer)


def hangs_up_before(answer: StripeHandler) -> bool:
    answer.hang_up()
    return True


def hangs_up_after(answer: StripeHandler) -> bool:
    answer.stripe.take(answer.form)
    return hangs_up_before(answer)


def is_silent_after(answer: StripeHandler) -> bool:
    answer.stripe.take(answer.form)
    answer.rfile.read(1)  # returns when the client has given up
    return hangs_up_before(answer)


def sends_no_json(answer: StripeHandler) -> bool:
    answer.stripe.take(answer.form)
    answer.respond(200, "<html>a proxy's page</html>")
    return True


def limits_the_rate(answer: StripeHandler) -> bool:
    answer.respond(429, {"error": {"type": "invalid_request_error", "message": "Too many requests"}})
    return True


def rejects_the_key(answer: StripeHandler) -> bool:
    answer.respond(401, {"error": {"type": "invalid_request_error", "message": f"Invalid API Key: {KEY}"}})
    return True


TROUBLES = [
    fails_before,
    fails_after,
    hangs_up_before,
    hangs_up_after,
    is_silent_after,
    sends_no_json,
    limits_the_rate,
    rejects_the_key,
]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_failure_loses_or_doubles_anything(
    stripe: Stripe,
    alice: Person,
    customer: Wallet,
    trouble: Callable[[StripeHandler], bool],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    spend(alice, NOON)
    spend(alice, NOON + timedelta(hours=1), LONG)
    stripe.trouble = trouble
    # long enough that a slow machine has counted the request before its client gives up
    seconds = 2.5 if trouble is is_silent_after else ANSWER_SECONDS
    with closing(StripeMeter(KEY, METER, stripe.url, answer_seconds=seconds)) as meter:
        export(stripe, NOON + timedelta(minutes=140), exporting_to(meter))
    assert stripe.requests == 1  # other events would fail too
    assert not MeterEvent.objects.filter(sent_at__isnull=False).exists()
    assert "was not told to the meter: Stripe" in caplog.text
    assert not Alert.objects.exists()  # the failure may be temporary

    stripe.trouble = None
    export(stripe, NOON + timedelta(minutes=150))
    assert not MeterEvent.objects.filter(sent_at=None).exists()
    assert stripe.total("cus_alice") == SHORT_COST + LONG_COST
    assert KEY not in caplog.text


def test_an_unreachable_stripe_is_tried_again(
    stripe: Stripe, alice: Person, customer: Wallet, settings: Settings
) -> None:
    spend(alice, NOON)
    settings.CHATAPI_STRIPE_URL = "http://127.0.0.1:9"
    export(stripe, NOON + timedelta(minutes=80))
    assert MeterEvent.objects.get().sent_at is None
    settings.CHATAPI_STRIPE_URL = stripe.url
    export(stripe, NOON + timedelta(minutes=90))
    assert stripe.total("cus_alice") == SHORT_COST


class Killed(BaseException):
    """Raised to end a worker as SIGKILL would."""


class DeadlyMeter:
    """A meter whose worker dies once it has sent a reading to `meter`, or before that if there is none."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter

    def send(self, reading: MeterReading) -> None:
        if self._meter:
            self._meter.send(reading)
        raise Killed

    def close(self) -> None:
        pass


def test_a_worker_that_dies_before_it_sends_loses_nothing(
    stripe: Stripe, alice: Person, customer: Wallet
) -> None:
    spend(alice, NOON)
    with pytest.raises(Killed):
        export(stripe, NOON + timedelta(minutes=80), exporting_to(DeadlyMeter()))
    export(stripe, NOON + timedelta(minutes=90))
    assert stripe.total("cus_alice") == SHORT_COST


def test_a_worker_that_dies_between_sending_and_marking_sends_nothing_twice(
    stripe: Stripe, alice: Person, customer: Wallet
) -> None:
    spend(alice, NOON)
    with closing(StripeMeter(KEY, METER, stripe.url)) as meter, pytest.raises(Killed):
        export(stripe, NOON + timedelta(minutes=80), exporting_to(DeadlyMeter(meter)))
    assert stripe.total("cus_alice") == SHORT_COST
    assert MeterEvent.objects.get().sent_at is None
    spend(alice, NOON + timedelta(minutes=59), LONG)
    export(stripe, NOON + timedelta(minutes=90))
    assert stripe.total("cus_alice") == SHORT_COST + LONG_COST
    assert not MeterEvent.objects.filter(sent_at=None).exists()


def test_a_customer_that_stripe_refuses_holds_up_no_other(
    stripe: Stripe, alice: Person, charlie: Person, customer: Wallet, caplog: pytest.LogCaptureFixture
) -> None:
    create_wallet(charlie)
    Wallet.objects.filter(pk=charlie.workspace.id).update(stripe_customer="mistyped")
    for who in (alice, charlie):
        spend(who, NOON)
        spend(who, NOON + timedelta(hours=1))
    export(stripe, NOON + timedelta(minutes=131))
    assert stripe.total("cus_alice") == 2 * SHORT_COST
    assert caplog.text.count("Stripe refused it: No such customer.") == 2

    MeterEvent.objects.filter(sent_at=None).update(created_at=NOON)
    export(stripe, NOON + timedelta(minutes=200))
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject) == (Alert.Kind.EXPORT, "stripe")
    assert "has yet to be told 2 sums, 0.000046 USD." in alert.text
    assert "No such customer." in alert.text

    Wallet.objects.filter(pk=charlie.workspace.id).update(stripe_customer="cus_charlie")
    export(stripe, NOON + timedelta(minutes=210))
    assert stripe.total("cus_charlie") == 2 * SHORT_COST
    assert Alert.objects.get().settled_at is not None


def test_a_wrong_key_can_be_fixed_days_later(
    stripe: Stripe, alice: Person, customer: Wallet, settings: Settings
) -> None:
    """Stripe refused each time, so nothing is in doubt."""
    spend(alice, NOON)
    settings.STRIPE_API_KEY = "sk_test_mistyped"
    for hours in (2, 20, 40):
        export(stripe, NOON + timedelta(hours=hours))
    settings.STRIPE_API_KEY = KEY
    export(stripe, NOON + timedelta(hours=47))
    assert stripe.total("cus_alice") == SHORT_COST


# --- several workers ------------------------------------------------------------------------------


def test_several_workers_at_once_report_everything_once(
    transactional_db: None, stripe: Stripe, alice: Person, customer: Wallet
) -> None:
    for hour in range(10):
        spend(alice, NOON + timedelta(hours=hour))
    at = NOON + timedelta(hours=12)
    stripe.now = at.timestamp
    barrier = threading.Barrier(3, timeout=60)

    def work(_: int) -> None:
        try:
            barrier.wait()
            tasks.export_meters()
        finally:
            connections.close_all()

    with frozen_clock(at), ThreadPoolExecutor(3) as workers:
        list(workers.map(work, range(3)))
    assert stripe.total("cus_alice") == 10 * SHORT_COST
    assert not MeterEvent.objects.filter(sent_at=None).exists()


def test_workers_that_see_different_sums_report_no_more_than_the_later_one(
    stripe: Stripe, alice: Person, customer: Wallet
) -> None:
    """Both found nothing reported yet; one read the sum before a late posting, the other after it."""
    spend(alice, NOON)
    customers = {alice.workspace.id: "cus_alice"}
    until = NOON + timedelta(hours=1)
    earlier = list(meter_export.due_events(customers, NOON, until))
    spend(alice, NOON, LONG)
    later = list(meter_export.due_events(customers, NOON, until))
    for due in (earlier, later):
        MeterEvent.objects.bulk_create(due, ignore_conflicts=True)
    for minutes in (130, 140):
        export(stripe, NOON + timedelta(minutes=minutes))
    assert stripe.total("cus_alice") == SHORT_COST + LONG_COST


# --- what is left to a human ----------------------------------------------------------------------


def meter_events(*arguments: str) -> str:
    output = StringIO()
    call_command("meter_events", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.parametrize(
    ("trouble", "answer"), [(hangs_up_after, "--arrived"), (hangs_up_before, "--send-again")]
)
def test_an_event_that_may_have_arrived_a_day_ago_is_left_to_a_human(
    stripe: Stripe,
    alice: Person,
    customer: Wallet,
    trouble: Callable[[StripeHandler], bool],
    answer: str,
) -> None:
    """By now, Stripe has forgotten the event's identifier and would count it again."""
    spend(alice, NOON)
    stripe.trouble = trouble
    export(stripe, NOON + timedelta(hours=2))
    stripe.trouble = None
    MeterEvent.objects.update(created_at=NOON)
    later = NOON + timedelta(hours=26)
    export(stripe, later)
    assert stripe.requests == 1
    identifier = f"chatapi-{alice.workspace.id.hex}-20260103T12-0"
    assert "Not sent again, since they may have arrived: 1 " in Alert.objects.get().text
    with frozen_clock(later):
        assert meter_events() == f"{identifier}  cus_alice  0.000023 USD  in doubt\n"

    meter_events(identifier, answer)
    export(stripe, later)
    assert stripe.total("cus_alice") == SHORT_COST
    assert Alert.objects.get().settled_at is not None
    assert meter_events() == ""
    with pytest.raises(CommandError, match="has been sent"):
        meter_events(identifier, "--send-again")


def test_an_event_that_became_too_old_is_left_to_a_human(
    stripe: Stripe, alice: Person, customer: Wallet, settings: Settings
) -> None:
    spend(alice, NOON)
    settings.STRIPE_API_KEY = "sk_test_mistyped"
    export(stripe, NOON + timedelta(hours=2))
    settings.STRIPE_API_KEY = KEY
    MeterEvent.objects.update(created_at=NOON)
    requests = stripe.requests
    export(stripe, NOON + timedelta(days=35))
    assert stripe.requests == requests
    assert "Older than Stripe takes: 1 " in Alert.objects.get().text
    with frozen_clock(NOON + timedelta(days=35)):
        assert "too old" in meter_events()


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "nonsense",
        "chatapi-0-1-2",
        f"chatapi-{'0' * 32}-20260103T12-0",
        f"chatapi-{'0' * 32}-99999999T99-0",
        f"chatapi-{'0' * 32}-20260103T12-{'9' * 9}",
    ],
)
def test_an_unknown_identifier_is_refused(db: None, identifier: str) -> None:
    with pytest.raises(CommandError, match="There is no meter event"):
        meter_events(identifier, "--arrived")


def test_an_identifier_and_an_action_are_needed_together(db: None) -> None:
    with pytest.raises(CommandError, match="Name an identifier"):
        meter_events("--arrived")
    with pytest.raises(CommandError, match="Name an identifier"):
        meter_events("chatapi-0")
