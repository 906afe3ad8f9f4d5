"""The index: it follows the history, is never ahead of it, and can be made anew."""

import threading

import pytest
from django.core.management import call_command
from django.db import connection

from conversations import deletion
from conversations.emptying import empty_messages
from conversations.models import Conversation, Message, SearchDocument, SearchMark
from conversations.search import hits
from conversations.search.documents import MAX_WORD_BYTES
from conversations.search.indexing import index_marked
from conversations.search.rebuilding import rebuild
from conversations.search.schema import INDEX
from conversations.tasks import index_marked as index_task
from core.bulk_sql import id_to_driver
from tests.support.concurrent_calls import at_once
from tests.support.history_rows import add_message, conversation_of, create_exchange
from tests.support.killed_process import kill_where_it_stalls
from tests.support.people import Person
from tests.support.searching import Search, index_all

Documents = dict[tuple[object, object], tuple[int, frozenset[str]]]


def documents() -> Documents:
    return {
        (row.conversation_id, row.message_id): (row.pk, frozenset(row.words))
        for row in SearchDocument.objects.all()
    }


def words_in_index() -> set[tuple[str, int]]:
    """Return each word that the index has, with the id of its document."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT unnest(tsvector_to_array(words)), id FROM conversations_searchdocument")
            return set(cursor.fetchall())
        cursor.execute(f"CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, {INDEX}, instance)")
        cursor.execute("SELECT term, doc FROM temp.vocabulary")
        found = set(cursor.fetchall())
        cursor.execute("DROP TABLE temp.vocabulary")
        return found


def test_the_task_indexes_what_is_marked_and_takes_the_marks_away(alice: Person) -> None:
    completion = create_exchange(alice, "Where is the sea?", "To the west.")
    assert SearchMark.objects.count() == 2
    assert not SearchDocument.objects.exists()

    index_task()

    assert not SearchMark.objects.exists()
    of_messages = {document.message_id for document in SearchDocument.objects.all()}
    assert of_messages == set(completion.stored_conversation.messages.values_list("pk", flat=True))


def test_more_marks_than_a_batch_are_indexed_in_their_order(alice: Person) -> None:
    conversation = conversation_of(alice)
    for number in range(23):
        add_message(conversation, "user", f"Number {number}")

    index_marked(batch=10)

    of_messages = SearchDocument.objects.order_by("pk").values_list("message", flat=True)
    assert list(of_messages) == list(Message.objects.order_by("pk").values_list("pk", flat=True))


def test_an_indexer_without_time_leaves_the_rest_to_the_next(alice: Person) -> None:
    conversation = conversation_of(alice)
    for number in range(13):
        add_message(conversation, "user", f"Number {number}")

    assert index_marked(seconds=0, batch=10) == 10
    assert SearchMark.objects.count() == 3
    assert Search(alice).texts("number", limit=1)[0] == "[Number] 12"


def test_the_index_has_the_words_of_the_documents_and_nothing_else(alice: Person) -> None:
    for number in range(5):
        create_exchange(alice, f"Where is sea {number}?", "手机 in the west")
    index_all()
    gone, conversation, *_ = Conversation.objects.order_by("pk")
    empty_messages(conversation, list(conversation.messages.filter(role="user")))
    deletion.delete_conversations(Conversation.objects.filter(pk=gone.pk))
    Conversation.objects.filter(pk=conversation.pk).update(title="Changed", titled_by="client")
    index_all()

    expected = {(word, id) for id, words in documents().values() for word in words}
    assert words_in_index() == expected
    assert len(documents()) == 8


@pytest.mark.django_db(transaction=True)
def test_a_killed_indexer_loses_nothing(alice: Person) -> None:
    for number in range(3):
        create_exchange(alice, f"Sea {number}")

    kill_where_it_stalls(
        "from conversations.search import documents, indexing\n"
        "write = documents.write_documents\n"
        "def write_and_stall(*arguments):\n"
        "    write(*arguments)\n"
        "    stall()\n"
        "indexing.write_documents = write_and_stall\n"
        "indexing.index_marked(5)\n"
    )

    assert SearchMark.objects.count() == 6
    assert len(Search(alice).hits("sea")) == 3
    index_all()
    assert not SearchMark.objects.exists()
    assert SearchDocument.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_indexers_at_once_take_turns(alice: Person) -> None:
    conversation = conversation_of(alice)
    messages = [add_message(conversation, "user", f"Number {number}") for number in range(100)]
    Message.objects.filter(pk=messages[0].pk).update(parts=messages[0].parts)  # marked twice

    taken = at_once(*[lambda: index_marked(seconds=20, batch=10)] * 3)

    assert sum(taken) == 101
    assert not SearchMark.objects.exists()
    assert SearchDocument.objects.count() == len(messages)


def test_a_message_that_cannot_be_indexed_holds_up_no_other(
    alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    broken = create_exchange(alice, "Sea 0").answers.get()
    create_exchange(alice, "Sea 1")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE conversations_message SET parts = %s WHERE id = %s", ["nonsense", id_to_driver(broken.pk)]
        )

    index_all()

    assert not SearchMark.objects.exists()
    assert SearchDocument.objects.count() == 3
    assert str(broken.pk) in caplog.text


@pytest.mark.django_db(transaction=True)
def test_what_is_deleted_while_it_is_indexed_does_not_come_back(alice: Person) -> None:
    for number in range(30):
        create_exchange(alice, f"Sea {number}")

    at_once(
        lambda: index_marked(seconds=20),
        lambda: deletion.delete_conversations(Conversation.objects.filter(workspace=alice.workspace)),
    )

    index_all()
    assert not Conversation.objects.exists()
    assert documents() == {}


# --- made anew ------------------------------------------------------------------------------------


def test_an_index_made_anew_equals_the_running_one(alice: Person) -> None:
    for number in range(4):
        create_exchange(alice, f"Where is sea {number}?", "手机 in the west")
    conversation = Conversation.objects.order_by("pk")[1]
    Conversation.objects.filter(pk=conversation.pk).update(title="Changed", titled_by="client")
    index_all()
    running, in_index = documents(), words_in_index()

    assert rebuild() == 9

    assert documents() == running
    assert words_in_index() == in_index


def test_a_lost_index_is_made_anew_in_the_order_of_the_history(alice: Person) -> None:
    for number in range(4):
        create_exchange(alice, f"Sea {number}")
    conversation = conversation_of(alice, title="By the sea", titled_by="client")
    add_message(conversation, "system", "The sea is a rule.")
    create_exchange(alice, "Sea 4")
    SearchMark.objects.all().delete()
    SearchDocument.objects.all().delete()
    assert Search(alice).hits("sea") == []

    call_command("rebuild_search", verbosity=0)
    create_exchange(alice, "Sea 5")
    index_all()

    assert Search(alice).texts("sea") == [
        *("[Sea] 5", "[Sea] 4", "By the [sea]", "[Sea] 3", "[Sea] 2", "[Sea] 1", "[Sea] 0")
    ]


def test_what_is_wrong_in_the_index_is_mended(alice: Person) -> None:
    completion, gone = create_exchange(alice, "Sea"), create_exchange(alice, "Lake")
    index_all()
    right = documents()
    document = SearchDocument.objects.get(message=completion.prompt)
    SearchDocument.objects.filter(pk=document.pk).update(words=["wrong"])
    Message.objects.filter(conversation=gone.conversation).delete()

    rebuild()

    assert documents() == {place: found for place, found in right.items() if place[0] != gone.conversation_id}
    assert len(Search(alice).hits("sea")) == 1


@pytest.mark.django_db(transaction=True)
def test_calls_go_on_while_the_index_is_made_anew(alice: Person) -> None:
    for number in range(40):
        create_exchange(alice, f"Sea {number}")
    index_all()
    done = threading.Event()

    def store() -> None:
        try:
            for number in range(40, 50):
                create_exchange(alice, f"Sea {number}")
                index_marked(seconds=5)
        finally:
            done.set()

    def make_anew() -> None:
        while not done.is_set():
            rebuild()

    at_once(store, make_anew)

    index_all()
    assert len(Search(alice).hits("sea", limit=100)) == 50
    assert SearchDocument.objects.count() == 100


@pytest.mark.django_db(transaction=True)
def test_an_index_that_two_make_anew_at_once_has_each_place_once(alice: Person) -> None:
    for number in range(30):
        create_exchange(alice, f"Sea {number}", f"Lake {number}")
    SearchMark.objects.all().delete()

    at_once(rebuild, rebuild)

    assert SearchDocument.objects.count() == 60
    assert len(Search(alice).hits("sea", limit=100)) == len(Search(alice).hits("lake", limit=100)) == 30


# --- bounds ---------------------------------------------------------------------------------------


def test_a_message_of_more_words_than_a_document_holds_is_found_by_those_that_it_holds(alice: Person) -> None:
    words = "".join(
        chr(0x4E00 + number % 20_000) + chr(0x4E00 + number * 7 % 19_000) for number in range(90_000)
    )
    add_message(conversation_of(alice), "user", f"aardvark {words}")

    index_all()

    [(_, indexed)] = documents().values()
    assert sum(len(word.encode()) for word in indexed) < MAX_WORD_BYTES
    assert len(Search(alice).hits("aardvark")) == 1


def test_a_page_stops_where_it_has_looked_at_enough_and_the_next_goes_on(alice: Person) -> None:
    conversation = conversation_of(alice)
    add_message(conversation, "user", "in new york")
    for _ in range(hits.MAX_READ + hits.READ_AT_ONCE):
        add_message(conversation, "user", "york is new")  # both words, but not that phrase
    index_all()

    first = Search(alice).page('"new york"')
    assert first["data"] == []
    assert first["has_more"]
    assert Search(alice).texts('"new york"', after=first["next_cursor"]) == ["in [new] [york]"]


def test_a_page_reads_so_much_text_and_the_next_goes_on(alice: Person) -> None:
    conversation = conversation_of(alice)
    add_message(conversation, "user", "in new york")
    long = "york is new " + "漢字" * 60_000
    for _ in range(4):
        add_message(conversation, "user", long)

    first = Search(alice).page('"new york"')

    assert (first["data"], first["has_more"]) == ([], True)
    assert len(Search(alice).hits('"new york"')) == 1


def test_a_search_says_when_more_waits_to_be_indexed_than_it_looks_at(alice: Person, charlie: Person) -> None:
    conversation = conversation_of(alice)
    create_exchange(charlie, "Sea")
    SearchMark.objects.bulk_create(SearchMark(conversation=conversation) for _ in range(hits.MAX_TAIL))
    assert Search(alice).page("sea")["is_complete"] is False
    others = Search(charlie).page("sea")
    assert (others["is_complete"], len(others["data"])) == (True, 1)

    index_all()
    assert Search(alice).page("sea")["is_complete"] is True
