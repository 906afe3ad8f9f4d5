"""Records of calls beside the calls themselves: lists, deletion, and a recorder under load."""

import ast
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.deletion import delete_user, delete_workspace
from accounts.keys.validation import principal_of_secret
from accounts.models import User
from chatapi.env import ROOT
from chatapi.models import RequestCount, RequestRecord
from chatapi.request_log import deletion
from chatapi.request_log.cleaning import clean_client_request_id, clean_param
from chatapi.request_log.recorder import Batch, Recorder
from chatapi.request_log.writer import RequestWriter
from core.http.call_record import CallRecord
from core.ids import PROJECT, first_id_at, format_id, new_id
from tests.support.call_log import forget_waiting_calls
from tests.support.people import Person, person

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def none_waits() -> None:
    forget_waiting_calls()


def record_of(who: Person, age: timedelta = timedelta(0), **columns: object) -> RequestRecord:
    """Store the record of a call that came so long before now."""
    id = UUID(int=first_id_at(NOW - age).int + new_id().int % 2**64)
    columns = {"api_key_id": who.key_id, "status": 200, **columns}
    return RequestRecord.objects.create(id=id, workspace=who.workspace, milliseconds=1, **columns)


def ended_call(who: Person | None = None, path: str = "/v1/models") -> CallRecord:
    call = CallRecord(new_id(), "GET", path)
    call.status = 200
    if who is not None:
        call.principal = principal_of_secret(who.key)
    call.end()
    return call


# --- deletion -------------------------------------------------------------------------------------


def test_what_is_old_and_what_is_too_much_is_deleted(alice: Person, settings: Settings) -> None:
    settings.CHATAPI_REQUESTS_KEPT_DAYS, settings.CHATAPI_REQUESTS_KEPT = 14, 2
    record_of(alice, timedelta(days=14, seconds=1))
    newest = [record_of(alice, timedelta(hours=hours)) for hours in (3, 2, 1)][1:]
    hours = [NOW - timedelta(days=days) for days in (15, 13)]
    for hour in hours:
        RequestCount.objects.create(hour=hour, kind=RequestCount.Kind.LOST, count=1)

    assert deletion.delete_old_requests(NOW) == 2
    assert set(RequestRecord.objects.all()) == set(newest)
    assert RequestCount.objects.get().hour == hours[1]
    assert deletion.delete_old_requests(NOW) == 0


@pytest.mark.parametrize("kept", [0, deletion.BATCH + 1])
def test_many_are_deleted_in_batches(alice: Person, settings: Settings, kept: int) -> None:
    settings.CHATAPI_REQUESTS_KEPT_DAYS, settings.CHATAPI_REQUESTS_KEPT = (14, kept) if kept else (0, 10**6)
    RequestRecord.objects.bulk_create(
        RequestRecord(
            id=UUID(int=first_id_at(NOW).int - 2**80 * number), workspace=alice.workspace, milliseconds=1
        )
        for number in range(1, 2 * deletion.BATCH + 3)
    )
    assert deletion.delete_old_requests(NOW) == 2 * deletion.BATCH + 2 - kept
    assert RequestRecord.objects.count() == kept


def test_records_go_with_their_workspace_and_with_whose_sessions_they_are_of(
    alice: Person, bob: Person, charlie: Person, django_capture_on_commit_callbacks: object
) -> None:
    of_charlie = record_of(charlie)
    of_bobs_key = record_of(bob)
    record_of(bob, api_key_id=None, user=bob.user)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        delete_user(bob.user)
    assert set(RequestRecord.objects.all()) == {of_charlie, of_bobs_key}
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        delete_workspace(alice.workspace)
    assert set(RequestRecord.objects.all()) == {of_charlie}


# --- the admin's list -------------------------------------------------------------------------------


@pytest.fixture
def admin(db: None) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root@example.com", "a good password"))
    return browser


def listed(admin: Client, **query: str) -> set[UUID]:
    page = admin.get("/admin/chatapi/requestrecord/", query)
    assert page.status_code == 200
    return {row.pk for row in page.context["cl"].result_list}


def test_the_list_is_searched_and_filtered(admin: Client, alice: Person, charlie: Person) -> None:
    completion = f"chatcmpl-{first_id_at(NOW).hex}"
    fine = record_of(alice, completion_id=completion)
    busy = record_of(alice, timedelta(hours=3), status=429, code="rate_limit_exceeded")
    broken = record_of(charlie, status=503, code="database", client_request_id="mine-1")
    left = record_of(charlie, status=None, code="client_disconnected")
    cut_off = record_of(charlie, code="upstream_error")

    prefix = alice.workspace.api_keys.get().prefix
    for term, found in {
        "": {fine, busy, broken, left, cut_off},
        fine.public_id: {fine},
        completion: {fine},
        "mine-1": {broken},
        format_id(PROJECT, alice.workspace.pk): {fine, busy},
        f"{prefix}…": {fine, busy},
        charlie.workspace.name: {broken, left, cut_off},
        "req_none": set[RequestRecord](),
        "nobody": set[RequestRecord](),
    }.items():
        assert listed(admin, q=term) == {row.pk for row in found}, term
    for outcome, found in {
        "succeeded": {fine},
        "failed": {busy, broken, left, cut_off},
        "4xx": {busy},
        "5xx": {broken},
        "no answer": {left},
        "failed after its status": {cut_off},
        "unknown": set[RequestRecord](),
    }.items():
        assert listed(admin, outcome=outcome) == {row.pk for row in found}, outcome


def test_the_list_is_filtered_by_time(admin: Client, alice: Person) -> None:
    record_of(alice)
    now = RequestRecord.objects.create(workspace=alice.workspace, milliseconds=1)
    assert listed(admin, period="last hour") == {now.pk}
    assert "1888" not in admin.get("/admin/chatapi/requestcount/").text
    RequestCount.objects.create(hour=timezone.now(), kind=RequestCount.Kind.LOST, count=1888)
    assert "1888" in admin.get("/admin/chatapi/requestcount/").text


# --- what is stored of names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("param", "stored"),
    [
        ("messages[0].content[1].image_url.url", "messages[0].content[1].image_url.url"),
        ("tools[0].function.name", "tools[0].function.name"),
        ("metadata.swordfish", "metadata"),
        ("swordfish", ""),
        ("metadata[swordfish]", "metadata"),
        ("messages[0].swordfish.content", "messages[0]"),
        ("X-Workspace-Id", "X-Workspace-Id"),
        ("Idempotency-Key", "Idempotency-Key"),
        ("conversation_id", "conversation_id"),
        ("after", "after"),
        ("context.parent_message_id", "context.parent_message_id"),
        ("stream_options.include_usage", "stream_options.include_usage"),
        ("", ""),
    ],
)
def test_of_a_path_only_names_of_the_api_are_stored(param: str, stored: str) -> None:
    assert clean_param(param) == stored


def test_each_name_that_an_error_can_be_about_is_known() -> None:
    for package in ("accounts", "billing", "chatapi", "conversations", "core", "engines", "media"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.keyword)
                    and node.arg == "param"
                    and isinstance(node.value, ast.Constant)
                    and isinstance(node.value.value, str)
                ):
                    param = node.value.value
                    assert clean_param(param) == (param or ""), f"{path}: {param}"


@pytest.mark.parametrize(
    ("sent", "is_stored"),
    [
        ("mine-1", True),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("sk-proj-Abcdefgh12345678IJKLMNOP", False),
        ("a" * 129, False),
        ("{swordfish}", False),
    ],
)
def test_what_looks_like_an_id_is_stored_as_one(sent: str, is_stored: bool) -> None:
    assert clean_client_request_id(sent.encode()) == (sent if is_stored else "")


# --- the recorder under load ------------------------------------------------------------------------


class Store:
    """What a recorder writes to: it waits while `is_open` is not set, and fails while it `is_away`."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.is_away = False

    def __call__(self, batch: Batch) -> None:
        self.is_open.wait()
        if self.is_away:
            raise OperationalError("the database is away")
        self.batches.append(batch)

    @property
    def calls(self) -> list[CallRecord]:
        return [call for batch in self.batches for call in batch.calls]

    @property
    def lost(self) -> int:
        return sum(batch.lost for batch in self.batches)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.is_open.set()


def append_all(recorder: Recorder, calls: Iterable[CallRecord]) -> None:
    for call in calls:
        recorder.append(call)


def test_calls_beyond_what_may_wait_are_counted(store: Store, alice: Person) -> None:
    recorder = Recorder(store, waiting=10, delay=60)
    append_all(recorder, [ended_call(alice) for _ in range(25)])
    assert recorder.flush(10)
    assert (len(store.calls), store.lost) == (10, 15)
    append_all(recorder, [ended_call(alice)])
    assert recorder.flush(10)
    assert (len(store.calls), store.lost) == (11, 15)


def test_a_flood_without_a_valid_key_loses_no_call_with_one(store: Store, alice: Person) -> None:
    recorder = Recorder(store, waiting=10, unidentified=10, delay=60)
    flood = [ended_call() for _ in range(100)]
    for call in flood[:50]:
        call.secret_digest = "0" * 64
    append_all(recorder, flood)
    append_all(recorder, [ended_call(alice) for _ in range(10)])
    assert recorder.flush(10)
    [batch] = store.batches
    assert (len(batch.calls), len(batch.unidentified), batch.unauthenticated, batch.lost) == (10, 10, 50, 40)


def test_what_comes_while_the_database_is_away_is_counted_and_said_once(
    store: Store, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(store, delay=0)
    store.is_away = True
    for _ in range(3):
        append_all(recorder, [ended_call(alice), ended_call()])
        assert recorder.flush(10)
    store.is_away = False
    append_all(recorder, [ended_call(alice)])
    assert recorder.flush(10)
    assert (len(store.calls), store.lost) == (1, 3)
    assert sum(batch.unauthenticated for batch in store.batches) == 3
    assert caplog.text.count("cannot be stored now: the database is away") == 1


def test_a_slow_database_holds_up_no_call(store: Store, alice: Person) -> None:
    recorder = Recorder(store, waiting=10, delay=0)
    store.is_open.clear()
    append_all(recorder, [ended_call(alice) for _ in range(100)])
    assert not recorder.flush(0.01)
    store.is_open.set()
    assert recorder.flush(10)
    assert len(store.calls) + store.lost == 100


@pytest.mark.django_db
def test_counts_of_an_hour_add_up(settings: Settings) -> None:
    settings.CHATAPI_REQUESTS_KEPT_DAYS = 14
    writer = RequestWriter()
    for lost in (3, 4):
        writer.store(Batch([], [], 2, lost))
    counts = dict(RequestCount.objects.values_list("kind", "count"))
    assert counts == {"unauthenticated": 4, "lost": 7}


def test_the_prefix_of_a_key_outlives_it(alice: Person, settings: Settings) -> None:
    settings.CHATAPI_REQUESTS_KEPT_DAYS = 14
    writer = RequestWriter()
    writer.store(Batch([ended_call(alice)], [], 0, 0))
    prefix = alice.workspace.api_keys.get().prefix
    alice.workspace.api_keys.all().delete()
    assert RequestRecord.objects.get().key_prefix == prefix


def test_a_record_that_comes_after_its_workspace_was_deleted_loses_no_others(
    alice: Person, settings: Settings
) -> None:
    settings.CHATAPI_REQUESTS_KEPT_DAYS = 14
    dora = person("dora@example.com")
    calls = [ended_call(dora), ended_call(alice)]
    delete_workspace(dora.workspace)
    RequestWriter().store(Batch(calls, [], 0, 0))
    assert RequestRecord.objects.filter(workspace=alice.workspace).count() == 1
