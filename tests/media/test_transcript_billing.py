"""A transcript is paid for in the transaction that keeps it, whatever happens to its worker."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from django.db import DatabaseError, connection
from msgspec.structs import replace

from accounts.models import EndUserToken
from billing.models import Charge, OneTimeCharge, Wallet
from billing.prices import add_price
from billing.tariffs import rates_of
from core.blob import Blob
from media.models import Asset, Rendition, Requester
from media.renditions import due_renditions
from media.renditions.due_renditions import make
from media.renditions.lanes import Lanes
from media.renditions.makers import MAKERS, Maker, RenditionResult
from media.renditions.retry import retry_failed
from media.renditions.wait import RenditionFailed, wait_for_renditions
from media.services import StoredFile, register_files
from tests.support.billed_months import key_of
from tests.support.people import Person, token_for
from tests.support.priced_usage import add_credit, assert_ledger_adds_up, wallet_of
from tests.support.running_server import wait_until, without_worker

SECOND = 100_000
SECONDS = 3
WAV_BYTES = 44 + SECONDS * 32_000
USD = 10**9


@pytest.fixture(scope="module", autouse=True)
def no_other_worker() -> Iterator[None]:
    with without_worker():
        yield


@pytest.fixture(autouse=True)
def accounts_add_up(db: None) -> Iterator[None]:
    add_price("transcription", {0: rates_of({"seconds": "0.0001"})})
    yield
    assert_ledger_adds_up()


def hears(*_: object) -> RenditionResult:
    return RenditionResult(content={"text": "Hello."}, seconds=SECONDS)


def dies(*_: object) -> RenditionResult:
    raise KeyboardInterrupt


@contextmanager
def failing(statement: str, error: type[BaseException]) -> Iterator[None]:
    """Fail at statements that begin so."""

    def execute(run: Callable[..., object], sql: str, *args: object) -> object:
        if sql.startswith(statement):
            raise error
        return run(sql, *args)

    with connection.execute_wrapper(execute):
        yield


def file_of(who: Person) -> StoredFile:
    return StoredFile(
        Blob("a" * 64, "audio/wav", WAV_BYTES),
        milliseconds=1000 * SECONDS,
        renditions=("transcript",),
        requester=Requester(who.user.id),
    )


def due_transcript(who: Person) -> Rendition:
    """Have a transcript be due, and take it as a worker does."""
    register_files([(who.workspace.id, file_of(who))])
    Rendition.objects.filter(kind="wav").update(state="ready", size=WAV_BYTES)
    return take()


def take() -> Rendition:
    Rendition.objects.filter(state="pending").update(due_at="2026-01-01T00:00Z")
    rendition = Lanes().take()
    assert rendition is not None
    return rendition


def make_by(maker: Maker, rendition: Rendition) -> None:
    make(rendition, {**MAKERS, "transcript": maker})


def row(rendition: Rendition) -> Rendition:
    return Rendition.objects.get(id=rendition.id)


def charges() -> list[tuple[str, int, int | None]]:
    return list(Charge.objects.values_list("state", "seconds", "cost"))


PAID = ("settled", SECONDS, SECONDS * SECOND)


def test_a_transcript_is_charged_when_it_is_kept(alice: Person) -> None:
    add_credit(alice, USD)
    rendition = due_transcript(alice)
    make_by(hears, rendition)
    assert (row(rendition).state, charges()) == ("ready", [PAID])
    assert OneTimeCharge.objects.get().id == rendition.id
    assert Charge.objects.get().user_id == alice.user.id


def test_a_worker_that_dies_over_a_transcript_has_charged_nothing(alice: Person) -> None:
    add_credit(alice, USD)
    rendition = due_transcript(alice)
    with pytest.raises(KeyboardInterrupt):
        make_by(dies, rendition)
    assert charges() == []

    # after the charge, before the transcript is kept
    with failing('UPDATE "media_rendition" SET "state"', KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        make_by(hears, take())
    assert (charges(), wallet_of(alice).held) == ([], 0)

    make_by(hears, take())
    assert (row(rendition).state, charges()) == ("ready", [PAID])


def test_a_database_that_fails_at_the_end_leaves_neither_charge_nor_transcript(alice: Person) -> None:
    add_credit(alice, USD)
    rendition = due_transcript(alice)
    with failing('INSERT INTO "billing_onetimecharge"', DatabaseError):
        make_by(hears, rendition)
    assert (row(rendition).state, charges(), wallet_of(alice).held) == ("pending", [], 0)
    make_by(hears, take())
    assert (row(rendition).state, charges()) == ("ready", [PAID])


def test_two_workers_with_the_same_transcript_charge_once(alice: Person) -> None:
    add_credit(alice, USD)
    first = due_transcript(alice)
    second = take()
    assert second == first

    make_by(hears, first)
    assert (charges(), row(first).state, wallet_of(alice).held) == ([], "pending", 0)
    make_by(hears, second)
    make_by(hears, second)
    assert (row(first).state, charges()) == ("ready", [PAID])


@pytest.mark.usefixtures("transactional_db")
def test_many_workers_at_once_give_away_nothing(alice: Person) -> None:
    """Each transcript has two, of which neither knows of the other."""
    add_credit(alice, 3 * SECONDS * SECOND)
    files = [replace(file_of(alice), blob=Blob(f"{number:064}", "audio/wav", 1)) for number in range(6)]
    register_files([(alice.workspace.id, file) for file in files])
    Rendition.objects.filter(kind="transcript").update(attempts=1)
    taken = list(Rendition.objects.filter(kind="transcript").select_related("asset"))

    def work(rendition: Rendition) -> None:
        try:
            make_by(hears, rendition)
        finally:
            connection.close()

    with ThreadPoolExecutor(2 * len(taken)) as pool:
        list(pool.map(work, [*taken, *taken]))
    states = Rendition.objects.filter(kind="transcript").values_list("state", flat=True)
    assert sorted(states) == ["failed"] * 3 + ["ready"] * 3
    assert charges() == [PAID] * 3
    assert wallet_of(alice).available == 0


@pytest.mark.parametrize("gone", ["file", "workspace"])
def test_a_transcript_that_nobody_keeps_any_more_costs_nothing(alice: Person, gone: str) -> None:
    add_credit(alice, USD)
    rendition = due_transcript(alice)
    Rendition.objects.all().delete()
    Asset.objects.all().delete()
    if gone == "workspace":
        alice.workspace.delete()
    make_by(hears, rendition)
    assert charges() == []
    assert (Wallet.objects.get().available, Wallet.objects.get().held) == (USD, 0)


def test_what_an_operator_has_made_again_is_not_paid_twice(alice: Person) -> None:
    add_credit(alice, SECONDS * SECOND)
    rendition = due_transcript(alice)
    make_by(hears, rendition)
    Rendition.objects.filter(id=rendition.id).update(state="failed", error="Its content was lost.")
    assert retry_failed([row(rendition)]) == 1
    make_by(hears, take())
    assert (row(rendition).state, charges()) == ("ready", [PAID])


def test_no_wallet_goes_below_zero_for_a_transcript_that_turned_out_longer(alice: Person) -> None:
    add_credit(alice, SECONDS * SECOND)
    rendition = due_transcript(alice)
    make_by(lambda _: RenditionResult(content={"text": "Hello."}, seconds=SECONDS + 1), rendition)
    assert (row(rendition).state, row(rendition).error_code) == ("failed", "insufficient_quota")
    assert (row(rendition).content, charges()) == (None, [])
    assert wallet_of(alice).available == SECONDS * SECOND


def test_nothing_is_recognized_that_cannot_be_paid(alice: Person) -> None:
    """There is no sound: whoever reads it fails, and tries again."""
    add_credit(alice, SECONDS * SECOND - 1)
    rendition = due_transcript(alice)
    make(rendition)
    assert (row(rendition).state, row(rendition).error_code) == ("failed", "insufficient_quota")
    assert charges() == []


def test_a_workspace_without_a_wallet_can_pay_for_nothing(alice: Person) -> None:
    rendition = due_transcript(alice)
    make(rendition)
    assert row(rendition).error_code == "insufficient_quota"
    assert charges() == []


def test_an_unpaid_transcript_stays_so_until_somebody_asks_for_it(alice: Person) -> None:
    rendition = due_transcript(alice)
    for _ in range(due_renditions.ATTEMPTS + 1):
        make(rendition)
        assert Lanes().take() is None
        assert row(rendition).error_code == "insufficient_quota"
        assert retry_failed([row(rendition)]) == 1
        rendition = take()


@pytest.mark.usefixtures("transactional_db")
def test_who_waits_pays_where_who_had_asked_first_cannot(alice: Person, bob: Person) -> None:
    """Mallory, an end user whose token may spend nothing, sends the sound that Bob waits for."""
    add_credit(alice, USD)
    token_for(alice, "mallory", spending_limit=0)
    mallory = Requester(alice.user.id, key_of(alice), EndUserToken.objects.get().id)
    register_files([(alice.workspace.id, replace(file_of(alice), requester=mallory))])
    Rendition.objects.filter(kind="wav").update(state="ready", size=WAV_BYTES)
    rendition = take()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_as, Requester(bob.user.id, key_of(bob)), rendition)
        wait_until(lambda: row(rendition).priority == Rendition.Priority.AWAITED)
        make_by(hears, rendition)
        wait_until(lambda: row(rendition).state == "pending")
        make_by(hears, take())
        assert waiting.result()[rendition.id].state == "ready"
    charge = Charge.objects.get()
    assert (charge.user_id, charge.key_id, charge.token_id) == (bob.user.id, key_of(bob), None)


@pytest.mark.usefixtures("transactional_db")
def test_who_waits_and_cannot_pay_either_is_refused(alice: Person, bob: Person) -> None:
    rendition = due_transcript(alice)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_as, Requester(bob.user.id, key_of(bob)), rendition)
        wait_until(lambda: row(rendition).priority == Rendition.Priority.AWAITED)
        make_by(hears, rendition)
        wait_until(lambda: row(rendition).state == "pending")
        make_by(hears, take())
        with pytest.raises(RenditionFailed, match="left to spend in this workspace"):
            waiting.result()
    assert charges() == []


def wait_as(requester: Requester, rendition: Rendition) -> dict[UUID, Rendition]:
    try:
        return asyncio.run(wait_for_renditions([rendition], seconds=20, requester=requester))
    finally:
        connection.close()
