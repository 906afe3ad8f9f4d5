"""What the search finds, and where."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.roles import Role
from conversations import deletion
from conversations.emptying import empty_messages
from conversations.labels import replace_labels
from conversations.models import Conversation, Message, SearchDocument, SearchMark
from core.ids import new_id
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    ToolCall,
)
from media.models import File, asset_id
from tests.support.history_rows import (
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    finish_rendition,
    store_held_file,
)
from tests.support.people import Person, set_role, signed_in, token_for
from tests.support.searching import Search, index_all, snippet_of

Settle = Callable[[], None]


@pytest.fixture
def search(alice: Person) -> Search:
    return Search(alice)


# --- what is found --------------------------------------------------------------------------------


def test_a_hit_says_what_was_found_and_where(alice: Person, search: Search, settle_index: Settle) -> None:
    answered = create_exchange(alice, "Where is the opera?", "Take the tram to the harbour.")
    settle_index()

    [hit] = search.hits("harb")

    answer = answered.answers.get()
    assert hit["id"] == hit["message_id"] == answer.public_id
    assert hit["object"] == "search.hit"
    assert hit["role"] == "assistant"
    assert hit["created_at"] == int(answer.created_at.timestamp())
    assert hit["conversation"]["id"] == answer.conversation.public_id
    assert hit["conversation"]["title"] == "Where is the opera?"
    assert hit["conversation"]["state"] == "completed"
    [match] = hit["matches"]
    assert (match["field"], match["item_id"]) == ("text", answer.public_id)
    assert snippet_of(match) == "Take the tram to the [harbour]."


@pytest.mark.parametrize("words", ["cafe", "CAFÉ", "café au lait", '"au lait"', "la caf"])
def test_case_and_accents_do_not_matter(
    alice: Person, search: Search, settle_index: Settle, words: str
) -> None:
    create_exchange(alice, "Où est la nuit?", "La nuit est au Café au Lait.")
    settle_index()

    assert [hit["role"] for hit in search.hits(words)] == ["assistant"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我想买一部新手机。", "手机"),
        ("昨日、東京タワーへ行きました。", "東京"),
        ("カメラを買いました", "ｶﾒﾗ"),
        ("한국어를 공부합니다", "한국"),
        ("ผมอยู่ในประเทศไทย", "ประเทศ"),
        ("我想买一部新手机。", "机"),
        ("Покажи ещё раз", "еще"),
    ],
)
def test_each_script_is_searched(
    alice: Person, search: Search, settle_index: Settle, text: str, words: str
) -> None:
    create_exchange(alice, text)
    create_exchange(alice, "别的 他の 다른 อื่น другое")
    settle_index()

    assert [hit["role"] for hit in search.hits(words)] == ["user"]


def test_every_kind_of_text_is_searched(alice: Person, search: Search, settle_index: Settle) -> None:
    conversation = conversation_of(alice, title="Trip to Narvik", titled_by="client")
    picture = store_held_file(conversation, b"picture", "image/png", "text")
    sound = store_held_file(conversation, b"sound", "audio/wav", "transcript")
    document = store_held_file(conversation, b"document", "text/plain")
    File.objects.create(
        workspace=alice.workspace,
        api_key_id=alice.key_id,
        asset_id=asset_id(alice.workspace.pk, picture.sha256),
        filename="fjord-sunset.png",
        purpose="vision",
    )
    asked = add_message(
        conversation,
        "user",
        "zeroth",
        ImagePart(picture),
        AudioPart(sound, "wav"),
        FilePart(document, "log.txt"),
    )
    answer = add_message(
        conversation,
        "assistant",
        ReasoningPart("zinc thoughts"),
        "zulu",
        RefusalPart("zilch"),
        SpokenPart("audio_1", "zephyr"),
        ToolCall("call_1", "book", '{"place": "zanzibar"}'),
        ToolCall("call_2", "pay", '{"with": "zloty"}'),
        after=asked,
    )
    result = add_message(conversation, "tool", "zenith", after=answer, tool_call_id="call_1")
    finish_rendition(conversation, picture, "text", content={"text": "EXIT zebra"})
    finish_rendition(conversation, sound, "transcript", content={"text": "a zither plays"})
    settle_index()

    expected = {
        "narvik": ("title", None, conversation.public_id),
        "zeroth": ("text", asked.public_id, asked.public_id),
        "zebra": ("picture_text", asked.public_id, asked.public_id),
        "zither": ("transcript", asked.public_id, asked.public_id),
        "sunset": ("file_name", asked.public_id, asked.public_id),
        "log.txt": ("file_name", asked.public_id, asked.public_id),
        "zinc": ("reasoning", f"rs_{answer.pk.hex}", answer.public_id),
        "zulu": ("text", answer.public_id, answer.public_id),
        "zilch": ("text", answer.public_id, answer.public_id),
        "zephyr": ("transcript", answer.public_id, answer.public_id),
        "zanzibar": ("tool_call", f"fc_{answer.pk.hex}", answer.public_id),
        "zloty": ("tool_call", f"fc_{answer.pk.hex}_1", answer.public_id),
        "zenith": ("tool_output", f"fco_{result.pk.hex}", result.public_id),
    }
    found = {}
    for word in expected:
        [hit] = search.hits(word)
        [match] = hit["matches"]
        found[word] = match["field"], match["item_id"], hit["id"]
    assert found == expected


def test_words_of_a_message_may_stand_in_its_text_and_its_files(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    conversation = conversation_of(alice)
    document = store_held_file(conversation, b"document", "text/plain")
    add_message(conversation, "user", "Read this.", FilePart(document, "invoice-may.txt"))
    settle_index()

    [hit] = search.hits("read invoice")

    assert [match["field"] for match in hit["matches"]] == ["text", "file_name"]


def test_system_messages_are_not_searched(alice: Person, search: Search, settle_index: Settle) -> None:
    conversation = conversation_of(alice)
    rules = add_message(conversation, "system", "You are a pirate.")
    add_message(conversation, "user", "Are you a pirate?", after=rules)
    settle_index()

    assert [hit["role"] for hit in search.hits("pirate")] == ["user"]


def test_a_title_that_is_the_first_words_is_found_once(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    create_exchange(alice, "Where is Narvik?")
    settle_index()

    assert [hit["role"] for hit in search.hits("narvik")] == ["user"]


def test_the_newest_come_first_in_pages_that_repeat_nothing(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    conversation = conversation_of(alice)
    for number in range(7):
        add_message(conversation, "user", f"Sea number {number}")
    settle_index()

    assert search.texts("sea", limit=3) == [f"[Sea] number {number}" for number in reversed(range(7))]
    first = search.page("sea", limit=3)
    following = search.page("sea", limit=3, after=first["last_id"])
    assert [hit["id"] for hit in following["data"]] == [
        hit["id"] for hit in search.page("sea", limit=3, after=first["next_cursor"])["data"]
    ]


def test_pages_go_on_from_what_was_not_indexed_to_what_is(alice: Person, search: Search) -> None:
    conversation = conversation_of(alice)
    messages = [add_message(conversation, "user", f"Sea number {number}") for number in range(6)]
    index_all()
    messages[2].save()  # what is marked again keeps its place
    messages += [add_message(conversation, "user", f"Sea number {number}") for number in range(6, 9)]

    first = search.page("sea", limit=4)
    index_all()
    rest = search.hits("sea", limit=4, after=first["next_cursor"])

    ids = [hit["id"] for hit in first["data"] + rest]
    assert ids == [message.public_id for message in reversed(messages)]


def test_a_page_is_followed_even_if_its_last_hit_is_deleted(alice: Person, search: Search) -> None:
    completions = [create_exchange(alice, f"Sea number {number}") for number in range(4)]
    index_all()
    first = search.page("sea", limit=2)
    deletion.delete_conversations(Conversation.objects.filter(pk=completions[2].stored_conversation.pk))

    rest = search.hits("sea", after=first["next_cursor"])

    assert [snippet_of(hit["matches"][0]) for hit in rest] == ["[Sea] number 1", "[Sea] number 0"]


def test_the_filters_of_lists_are_those_of_the_search(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    plain = conversation_of(alice, title="plain")
    marked = conversation_of(
        alice,
        title="marked",
        end_user="u1",
        tags=["work"],
        metadata={"topic": "travel"},
        pinned=True,
        archived=True,
        created_at=timezone.now(),
    )
    for conversation in (plain, marked):
        replace_labels(conversation)
        asked = add_message(conversation, "user", "The sea")
        completion_of(alice, asked, state="failed" if conversation is marked else "completed")
    settle_index()

    def titles(**query: Any) -> list[str]:
        return [hit["conversation"]["title"] for hit in search.hits("sea", **query)]

    assert titles() == ["marked", "plain"]
    for query in (
        {"user": "u1"},
        {"tag": "work"},
        {"metadata[topic]": "travel"},
        {"pinned": "true"},
        {"archived": "true"},
        {"state": "failed"},
        {"created_after": "1770000000"},
    ):
        assert titles(**query) == ["marked"], query
    assert titles(archived="false") == titles(user="") == titles(state="completed") == ["plain"]
    assert titles(deleted="true") == titles(model="gpt-5") == []


@pytest.mark.parametrize(("q", "filler"), [("aGVs", "aGVsbG8g" * 20_000), ("漢漢", "漢" * 100_000)])
def test_a_snippet_is_short_however_long_the_word_is(
    alice: Person, search: Search, settle_index: Settle, q: str, filler: str
) -> None:
    add_message(conversation_of(alice), "user", f"x {filler}")
    settle_index()

    [hit] = search.hits(q)

    assert len(snippet_of(hit["matches"][0])) < 300


def test_emoji_are_no_letters_of_the_words_beside_them(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    create_exchange(alice, "⚠️Achtung 1️⃣Install")
    settle_index()

    assert len(search.hits("achtung")) == len(search.hits("install")) == 1
    assert search.get("❤️").status_code == 400


def test_a_page_of_the_trash_is_followed_by_the_id_of_its_last_hit(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    for number in range(3):
        create_exchange(alice, f"Sea {number}")
    Conversation.objects.update(deleted_at=timezone.now())
    settle_index()

    first = search.page("sea", deleted="true", limit=2)
    assert len(search.page("sea", deleted="true", after=first["last_id"])["data"]) == 1


def test_a_file_is_found_by_a_name_that_it_got_later_until_that_is_deleted(
    alice: Person, search: Search
) -> None:
    conversation = conversation_of(alice)
    picture = store_held_file(conversation, b"picture", "image/png")
    add_message(conversation, "user", ImagePart(picture))
    index_all()
    file = File.objects.create(
        workspace=alice.workspace,
        api_key_id=alice.key_id,
        asset_id=asset_id(alice.workspace.pk, picture.sha256),
        filename="fjord.png",
        purpose="vision",
    )
    for is_indexed in (False, True):
        if is_indexed:
            index_all()
        assert search.texts("fjord") == ["[fjord].png"]

    file.delete()

    assert search.hits("fjord") == []
    index_all()
    assert not SearchDocument.objects.exists()


# --- what is not found any more -------------------------------------------------------------------


def test_what_was_deleted_is_not_found_at_once(alice: Person, search: Search, settle_index: Settle) -> None:
    trashed, gone, emptied = (create_exchange(alice, f"The sea {number}") for number in range(3))
    settle_index()

    Conversation.objects.filter(pk=trashed.stored_conversation.pk).update(deleted_at=timezone.now())
    deletion.delete_conversations(Conversation.objects.filter(pk=gone.stored_conversation.pk))
    conversation = emptied.stored_conversation
    empty_messages(conversation, list(conversation.messages.filter(role="user")))

    assert search.hits("sea") == []
    assert search.texts("sea", deleted="true") == ["The [sea] 0"]
    Conversation.objects.filter(pk=trashed.stored_conversation.pk).update(deleted_at=None)
    assert search.texts("sea") == ["The [sea] 0"]


def test_nothing_of_deleted_words_stays_in_the_index(alice: Person) -> None:
    kept, gone, emptied = (create_exchange(alice, f"The sea {number}") for number in range(3))
    index_all()

    deletion.delete_conversations(Conversation.objects.filter(pk=gone.stored_conversation.pk))
    conversation = emptied.stored_conversation
    empty_messages(conversation, list(conversation.messages.filter(role="user")))
    index_all()

    of_questions = SearchDocument.objects.filter(message__role="user")
    assert [document.conversation_id for document in of_questions] == [kept.conversation_id]
    assert not SearchMark.objects.exists()


def test_a_changed_title_is_found_at_once_and_the_old_one_is_not(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    conversation = conversation_of(alice, title="Trip to Oslo", titled_by="client")
    settle_index()
    assert [hit["id"] for hit in search.hits("oslo")] == [conversation.public_id]

    Conversation.objects.filter(pk=conversation.pk).update(title="Trip to Bergen")

    assert search.hits("oslo") == []
    assert search.texts("bergen") == ["Trip to [Bergen]"]
    index_all()
    assert search.texts("bergen") == ["Trip to [Bergen]"]


def test_a_transcript_is_found_once_it_is_made(alice: Person, search: Search) -> None:
    conversation = conversation_of(alice)
    sound = store_held_file(conversation, b"sound", "audio/wav", "transcript")
    add_message(conversation, "user", AudioPart(sound, "wav"))
    index_all()
    assert search.hits("zither") == []

    finish_rendition(conversation, sound, "transcript", content={"text": "a zither plays"})

    assert search.texts("zither") == ["a [zither] plays"]
    index_all()
    assert search.texts("zither") == ["a [zither] plays"]


# --- for whom -------------------------------------------------------------------------------------


def test_nobody_finds_what_others_have(
    alice: Person, bob: Person, charlie: Person, settle_index: Settle
) -> None:
    set_role(bob, Role.MEMBER)
    by_key = create_exchange(alice, "The sea by key")
    for_user = conversation_of(alice, end_user="u1")
    add_message(for_user, "user", "The sea for u1")
    private = conversation_of(alice, api_key_id=None, user=alice.user)
    add_message(private, "user", "The sea in private")
    shared = conversation_of(alice, api_key_id=None, user=alice.user, visibility="workspace")
    add_message(shared, "user", "The sea for all")
    settle_index()

    assert by_key
    workspace = f"proj_{alice.workspace.pk.hex}"
    assert Search(alice).texts("sea") == ["The [sea] for u1", "The [sea] by key"]
    assert Search(token_for(alice, "u1")).texts("sea") == ["The [sea] for u1"]
    assert Search(token_for(alice, "u2")).texts("sea") == []
    assert Search(signed_in(alice.user), workspace).texts("sea") == [
        *("The [sea] for all", "The [sea] in private", "The [sea] for u1", "The [sea] by key")
    ]
    assert Search(signed_in(bob.user), workspace).texts("sea") == ["The [sea] for all"]
    assert Search(charlie).texts("sea") == Search(signed_in(charlie.user)).texts("sea") == []


def test_sharing_shows_and_hides_at_once(alice: Person, bob: Person, settle_index: Settle) -> None:
    set_role(bob, Role.MEMBER)
    conversation = conversation_of(alice, api_key_id=None, user=alice.user)
    add_message(conversation, "user", "The sea")
    settle_index()
    search = Search(signed_in(bob.user), f"proj_{alice.workspace.pk.hex}")
    assert search.hits("sea") == []

    Conversation.objects.filter(pk=conversation.pk).update(visibility="workspace")
    assert search.texts("sea") == ["The [sea]"]
    index_all()
    assert search.texts("sea") == ["The [sea]"]

    Conversation.objects.filter(pk=conversation.pk).update(visibility="private")
    assert search.hits("sea") == []


def test_the_name_that_somebody_else_gave_a_file_is_not_found(
    alice: Person, search: Search, settle_index: Settle
) -> None:
    conversation = conversation_of(alice)
    picture = store_held_file(conversation, b"picture", "image/png")
    add_message(conversation, "user", ImagePart(picture))
    File.objects.create(
        workspace=alice.workspace,
        user=alice.user,
        asset_id=asset_id(alice.workspace.pk, picture.sha256),
        filename="salary-of-bob.png",
        purpose="vision",
    )
    settle_index()

    assert search.hits("salary") == []


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "?!"}, "q"),
        ({"q": "a" * 401}, "q"),
        ({"q": " a" * 33}, "q"),
        ({"q": "sea", "limit": "0"}, "limit"),
        ({"q": "sea", "order": "asc"}, "order"),
        ({"q": "sea", "after": "x"}, "after"),
        ({"q": "sea", "after": f"msg_{new_id().hex}"}, "after"),
        ({"q": "sea", "after": f"conv_{new_id().hex}"}, "after"),
        ({"q": "sea", "state": "done"}, "state"),
        ({"q": "sea", "query": "x"}, "query"),
        ({"q": ["sea", "lake"]}, "q"),
    ],
)
def test_bad_input_is_refused(search: Search, query: dict[str, Any], param: str) -> None:
    answer = search.get(None, **query)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "words",
    [
        'sea" OR "x',
        "sea*",
        "NEAR(sea, 2)",
        "words: sea",
        "'; DROP TABLE x; --",
        "sea & !x | (y",
        "\\' sea:*",
        "a\x00b",
        "^sea",
        "-sea +sea",
        "\ud83d\ude00 sea".encode("utf-16", "surrogatepass").decode("utf-16"),
        "%' _",
        "sea\u0300\u0301",
        "a" * 400,
        "ﷺ",
        "٣٤",
    ],
)
def test_no_words_are_syntax(alice: Person, search: Search, words: str, settle_index: Settle) -> None:
    add_message(conversation_of(alice), "user", words.replace("\x00", ""))  # PostgreSQL stores none
    settle_index()

    answer = search.get(words)

    assert answer.status_code in (200, 400), answer.text


def test_a_cursor_of_another_search_is_refused(alice: Person, charlie: Person, search: Search) -> None:
    for number in range(3):
        create_exchange(alice, f"Sea {number}")
    cursor = search.page("sea", limit=1)["next_cursor"]

    for refused in (search.get("lake", after=cursor), search.get("sea", after=cursor, pinned="true")):
        assert refused.status_code == 400
    assert Search(charlie).get("sea", after=cursor).status_code == 400
    assert Message.objects.count() == 6
