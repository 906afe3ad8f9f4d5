import re
from datetime import UTC, datetime
from functools import partial

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from conversations.admin import ConversationAdmin
from conversations.models import Completion, Conversation, Message
from core.admin_rights import with_viewer
from core.blob import Blob
from core.ids import first_id_at
from engines.messages import ImagePart, ToolCall
from tests.support.history_rows import (
    NOON,
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    prompt_of,
)
from tests.support.people import Person

CONVERSATIONS = "/admin/conversations/conversation/"
MESSAGES = "/admin/conversations/message/"
COMPLETIONS = "/admin/conversations/completion/"
ASSETS = "/admin/media/asset/"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root@example.com", "a good password"))
    return client


@pytest.fixture
def reviewer(db: None) -> Client:
    """A staff user who may view the history and do nothing else."""
    user = User.objects.create_user("rita@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


def detail(row: Conversation | Message | Completion) -> str:
    return f"/admin/conversations/{row._meta.model_name}/{row.pk}/change/"


@pytest.mark.parametrize("address", [CONVERSATIONS, MESSAGES, COMPLETIONS])
def test_a_list_costs_the_same_for_one_row_and_for_many(
    address: str,
    reviewer: Client,
    alice: Person,
    charlie: Person,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        create_exchange(alice if number % 2 else charlie)

    with django_assert_max_num_queries(10) as queries:
        page = reviewer.get(address)

    assert page.status_code == 200
    assert page.text.count("field-created_at") >= 20
    assert not any('"parts"' in query["sql"] for query in queries.captured_queries)


def test_the_list_counts_messages(reviewer: Client, alice: Person) -> None:
    create_exchange(alice)
    conversation_of(alice)

    counts = re.findall(r'field-message_count">(\d+)<', reviewer.get(CONVERSATIONS).text)

    assert counts == ["0", "2"]


def test_what_is_deleted_and_can_be_restored_is_marked_and_filtered(reviewer: Client, alice: Person) -> None:
    conversation_of(alice, title="there")
    gone = conversation_of(alice, title="gone", deleted_at=NOON)

    for query, marks in (("", ["no", "yes"]), ("?deleted=yes", ["no"]), ("?deleted=no", ["yes"])):
        page = reviewer.get(CONVERSATIONS + query).text
        assert re.findall(r'field-is_there"><img src="[^"]*icon-(\w+)', page) == marks, query
    assert "field-is_there" not in reviewer.get(CONVERSATIONS + "?deleted=maybe").text
    assert "Jan. 1, 2026" in reviewer.get(detail(gone)).text


def test_messages_are_found_by_the_call_that_they_answer_and_by_their_id(
    reviewer: Client, alice: Person
) -> None:
    conversation = conversation_of(alice)
    said = add_message(conversation, "user", "What is it worth?")
    answer = add_message(conversation, "tool", "42", after=said, tool_call_id="call_1")

    def found(words: str) -> set[str]:
        page = reviewer.get(MESSAGES, {"q": words}).text
        return {one.public_id for one in (said, answer) if one.public_id in page}

    assert found("call_1") == found(answer.public_id) == {answer.public_id}
    assert found(said.public_id) == {said.public_id}
    assert found("call_2") == found("worth") == set()
    assert found("") == {said.public_id, answer.public_id}


def test_conversations_are_filtered_by_when_they_were_made(reviewer: Client, alice: Person) -> None:
    """By their ids: the time of a table's rows is in no index."""
    conversation_of(alice, title="new")
    conversation_of(alice, title="old", id=first_id_at(datetime(2026, 2, 28, 23, 59, tzinfo=UTC)))

    def shown(made: str) -> set[str]:
        page = reviewer.get(f"/admin/conversations/conversation/?made={made}").content.decode()
        return {title for title in ("new", "old") if f">{title}</a>" in page}

    assert shown("today") == shown("past+7+days") == {"new"}
    assert shown(f"{timezone.now():%Y-%m}") == {"new"}
    assert shown("2026-02") == {"old"}
    assert (
        shown("2026-03")
        == shown("2026-13")
        == shown("nonsense")
        == shown("0001-01")
        == shown("9999-12")
        == set()
    )


def test_a_conversation_is_found_by_title_end_user_workspace_and_id(reviewer: Client, alice: Person) -> None:
    wanted = conversation_of(alice, title="Holidays in Norway", end_user="user-77")
    other = conversation_of(alice, title="Taxes")

    for words in ("norway", "user-77", wanted.public_id):
        found = reviewer.get(CONVERSATIONS, {"q": words}).text
        assert detail(wanted) in found
        assert detail(other) not in found
    assert detail(other) in reviewer.get(CONVERSATIONS, {"q": "alice@"}).text


def test_a_thread_is_read_from_top_to_bottom(
    reviewer: Client, alice: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    conversation = conversation_of(alice)
    picture = ImagePart(Blob("cd" * 32, "image/png", 99))
    message = add_message(conversation, "user", "What is this?", picture)
    completion = completion_of(alice, message, prompt_tokens=11, completion_tokens=22)
    call = ToolCall("call_1", "look", '{"at": "it"}')
    message = add_message(conversation, "assistant", call, after=message, completion=completion, choice=0)
    message = add_message(conversation, "tool", "A cat", after=message, tool_call_id="call_1")
    add_message(conversation, "assistant", "It is a cat.", after=message)

    with django_assert_max_num_queries(12):
        page = reviewer.get(detail(conversation)).text

    places = [
        page.index(text) for text in ("What is this?", "cd" * 32, "look({&quot;at", "A cat", "It is a cat.")
    ]
    assert places == sorted(places)
    assert completion.public_id in page
    assert "11 + 22 tokens" in page


def test_branches_are_marked(reviewer: Client, alice: Person) -> None:
    conversation = conversation_of(alice)
    root = add_message(conversation, "user", "Root")
    left = add_message(conversation, "assistant", "Left behind", after=root)
    add_message(conversation, "user", "Left further", after=left)
    main = add_message(conversation, "assistant", "Goes on", after=root)
    add_message(conversation, "user", "Goes further", after=main)

    page = reviewer.get(detail(conversation)).text

    lines = re.findall(r'<article class="([\w -]+)".*?<pre>(.*?)</pre>', page, re.DOTALL)
    assert lines == [
        ("user", "Root"),
        ("assistant branch indent-1", "Left behind"),
        ("user branch indent-1", "Left further"),
        ("assistant", "Goes on"),
        ("user", "Goes further"),
    ]
    assert page.count("other branch") == 1


class ShortThreads(ConversationAdmin):
    shown_messages = 3


def thread_shown(conversation: Conversation, request: HttpRequest) -> HttpResponse:
    short = ShortThreads(Conversation, admin.site)
    return HttpResponse(short.thread(short.get_queryset(request).get(pk=conversation.pk)))


def test_a_long_thread_is_cut_and_says_so(reviewer: Client, alice: Person, rf: RequestFactory) -> None:
    assert ConversationAdmin.shown_messages >= 100
    conversation = conversation_of(alice)
    message = None
    for number in range(8):
        message = add_message(conversation, "user", f"number {number}", after=message)
    request = rf.get(detail(conversation))
    request.user = User.objects.get(email="rita@example.com")

    thread = with_viewer(partial(thread_shown, conversation))(request).content.decode()

    assert "number 7" in thread
    assert "number 4" not in thread
    assert "5 older ones" in thread
    all_of_them = f"{MESSAGES}?conversation__id__exact={conversation.pk}"
    assert all_of_them in thread
    assert reviewer.get(all_of_them).text.count("field-created_at") == 8


@pytest.mark.parametrize("kind", ["conversation", "message", "completion"])
def test_nothing_that_users_wrote_becomes_markup(kind: str, reviewer: Client, alice: Person) -> None:
    conversation = conversation_of(alice, title=SCRIPT, end_user=SCRIPT, metadata={"a": SCRIPT})
    asked = add_message(conversation, "user", SCRIPT, ImagePart(url=f"javascript:{SCRIPT}"), name=SCRIPT)
    completion = completion_of(
        alice, asked, "failed", error={"message": SCRIPT}, request={"context": {"a": SCRIPT}}
    )
    completion.model = SCRIPT
    completion.save()
    call = ToolCall(SCRIPT, SCRIPT, SCRIPT)
    add_message(
        conversation, "assistant", call, after=asked, completion=completion, choice=0, tool_call_id=SCRIPT
    )

    for row in (conversation, asked, completion):
        if row._meta.model_name == kind:
            page = reviewer.get(detail(row)).text
            assert "&lt;script&gt;" in page
            assert SCRIPT not in page
    assert SCRIPT not in reviewer.get(f"/admin/conversations/{kind}/").text


def test_a_completion_shows_state_usage_and_times(reviewer: Client, alice: Person) -> None:
    completion = create_exchange(alice)
    completion.usage_estimated = True
    completion.request = {"params": {"temperature": 0.5}}
    completion.save()

    row = reviewer.get(COMPLETIONS).text
    page = reviewer.get(detail(completion)).text

    assert "~3 + 2" in row
    assert "2.00 s" in row
    assert "temperature" in page
    assert "2.00 s" in page


def test_completions_are_filtered(reviewer: Client, alice: Person) -> None:
    done = create_exchange(alice)
    failed = completion_of(alice, prompt_of(done), "failed", usage_estimated=True)

    for query in ({"state": "failed"}, {"usage_estimated__exact": "1"}):
        found = reviewer.get(COMPLETIONS, query).text
        assert failed.public_id in found
        assert done.public_id not in found
    assert done.public_id in reviewer.get(COMPLETIONS, {"served_by": "scripted"}).text
    assert done.public_id not in reviewer.get(COMPLETIONS, {"served_by": "text-only"}).text


def test_reviewers_change_nothing(reviewer: Client, alice: Person) -> None:
    completion = create_exchange(alice)
    rows = (completion, completion.stored_conversation, prompt_of(completion))

    for row in rows:
        assert reviewer.post(detail(row), {"title": "mine", "state": "failed"}).status_code == 403
        assert reviewer.post(detail(row).replace("change", "delete"), {"post": "yes"}).status_code == 403
    for address in (CONVERSATIONS, MESSAGES, COMPLETIONS, ASSETS):
        assert reviewer.get(f"{address}add/").status_code == 403

    completion.refresh_from_db()
    assert completion.state == "completed"


def test_an_operator_deletes_whole_conversations_only(operator: Client, alice: Person) -> None:
    completion, other = create_exchange(alice), create_exchange(alice)

    for row in (completion, prompt_of(completion)):
        assert operator.post(detail(row).replace("change", "delete"), {"post": "yes"}).status_code == 403
    gone = detail(completion.stored_conversation).replace("change", "delete")
    assert "Are you sure" in operator.get(gone).text
    assert operator.post(gone, {"post": "yes"}).status_code == 302

    assert list(Conversation.objects.all()) == [other.conversation]
    assert Message.objects.count() == 2
    assert list(Completion.objects.all()) == [other]


def test_a_user_who_is_not_a_reviewer_sees_nothing(client: Client, alice: Person) -> None:
    completion = create_exchange(alice)
    client.force_login(alice.user)

    assert client.get(detail(completion.stored_conversation)).status_code == 302
    alice.user.is_staff = True
    alice.user.save()
    assert client.get(detail(completion.stored_conversation)).status_code == 403
