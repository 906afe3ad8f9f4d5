"""The chat that docs/frontends.md builds piece by piece, and the whole page of docs/examples, in Chromium."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from chatapi.env import ROOT
from conversations.models import Completion, Conversation, Message
from tests.browser.complaints import Complaints
from tests.browser.other_origin import OtherOrigin
from tests.browser.test_frontends import PAGE, WITH_TOKEN, Product, product
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters
from tests.support.run_command import Run
from tests.support.running_server import wait_until

__all__ = ["product"]  # the fixture

COLLECT = """async (ask) => {
    const pieces = [];
    const ids = await ask((piece) => pieces.push(piece));
    return { ...ids, text: pieces.join("") };
}"""


def chapter_code() -> str:
    """Return all JavaScript of the chapter, one block after the other."""
    text = (ROOT / "docs" / "frontends.md").read_text()
    chapter = text.partition("\n## Build a chat\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```js\n(.*?)^```$", chapter, re.DOTALL | re.MULTILINE)
    assert len(blocks) == len(re.findall("^### ", chapter, re.MULTILINE)) == 8
    return "".join(blocks)


@pytest.fixture
def chat(page: Page, site: Run, product: Product, other_origin: OtherOrigin) -> Page:
    script = (WITH_TOKEN + chapter_code()).replace("https://chat.example.com", site.url)
    other_origin.pages["/chat"] = PAGE.format(script)
    page.goto(f"{other_origin.url}/chat")
    return page


def asked(chat: Page, call: str) -> dict[str, Any]:
    """Have an answer made by `call`, which is given `show`; return its ids and text."""
    ids: dict[str, Any] = chat.evaluate(f"({COLLECT})((show) => {call})")
    return ids


def texts(shown: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for item in shown for part in item["content"]]


def test_the_documented_code_talks_reloads_and_shows_branches(chat: Page, complaints: Complaints) -> None:
    first = asked(chat, "say('Pick a number', null, show)")
    assert first["text"] == "You said: Pick a number"
    conversation = first["conversation"]

    again = asked(chat, f"regenerate('{conversation}', '{first['message']}', show)")
    assert again["conversation"] == conversation
    shown = chat.evaluate(f"items('{conversation}')")
    assert [item["message_id"] for item in shown] == [shown[0]["id"], again["message"]]
    assert shown[1]["siblings"] == [first["message"], again["message"]]

    branch = chat.evaluate(f"showSibling('{conversation}', '{first['message']}')")
    assert branch[1]["id"] == first["message"]
    assert chat.evaluate(f"items('{conversation}')")[1]["id"] == first["message"]

    edited = asked(chat, f"edit('{conversation}', {{parent_id: null}}, 'Pick a colour', show)")
    assert texts(chat.evaluate(f"items('{conversation}')")) == ["Pick a colour", edited["text"]]
    assert Message.objects.filter(role="user").count() == 2


def test_the_documented_code_stops_and_follows_an_answer(
    chat: Page, other_origin: OtherOrigin, complaints: Complaints
) -> None:
    chat.evaluate("() => { window.running = say('[[chunks: 200]] [[slow: 0.05]]', null, () => {}, 'a-key') }")
    wait_until(lambda: Completion.objects.filter(state="in_progress").exists())
    conversation = Conversation.objects.get().public_id
    chat.reload()  # the page forgets all; the answer goes on
    chat.evaluate(
        f"() => {{ window.steps = []; window.end = follow('{conversation}', (shown) => steps.push(shown)) }}"
    )
    chat.wait_for_function("steps.length > 2 && steps.at(-1)[1].content[0]?.text.includes('w4')")
    assert chat.evaluate("steps.at(-1)[1].status") == "in_progress"

    chat.evaluate("stopByKey('a-key')")

    [_, answer] = chat.evaluate("end")
    assert (answer["status"], answer["state"]) == ("incomplete", "cancelled")
    assert answer["id"] == chat.evaluate("steps[0][1].id")
    assert "w200" not in answer["content"][0]["text"]


def test_the_documented_search_finds_and_marks_what_was_said(chat: Page, complaints: Complaints) -> None:
    said = asked(chat, "say('Where is <b>Narvik</b>?', null, show)")

    hits = chat.evaluate("search('narv', { archived: 'any' }).then((page) => page.data)")
    drawn = chat.evaluate("search('narv').then((page) => drawHit(page.data[0]).outerHTML)")

    assert {(hit["role"], hit["conversation"]["id"]) for hit in hits} == {
        ("user", said["conversation"]),
        ("assistant", said["conversation"]),
    }
    assert f'href="#{said["conversation"]}/{said["message"]}"' in drawn
    assert "&lt;b&gt;<" in drawn
    assert "<mark>Narvik</mark>" in drawn


def test_an_answer_is_stopped_before_its_first_word(chat: Page, complaints: Complaints) -> None:
    chat.evaluate(
        "() => { window.ids = {}; window.running = say('[[wait: 60]]', null, (_, told) => { ids = told }) }"
    )
    chat.wait_for_function("ids.completion")

    assert chat.evaluate("stop(ids.completion).then((answer) => answer.json())")["state"] == "cancelled"

    assert chat.evaluate("running")["completion"] == chat.evaluate("ids.completion")
    assert Completion.objects.get().state == "cancelled"


def test_the_documented_history_archives_deletes_and_restores(chat: Page, complaints: Complaints) -> None:
    ids = [asked(chat, f"say('Number {n}', null, show)")["conversation"] for n in range(3)]
    listed = "(filters) => conversations(filters).then((page) => page.data.map((row) => row.id))"
    assert chat.evaluate(listed) == ids[::-1]
    first = chat.evaluate("conversations({ limit: 2 })")
    rest = chat.evaluate("(cursor) => conversations({ limit: 2 }, cursor)", first["next_cursor"])
    assert [row["id"] for row in (*first["data"], *rest["data"])] == ids[::-1]
    assert rest["next_cursor"] is None

    chat.evaluate(f"change('{ids[0]}', {{ title: 'My own', tags: ['work'] }})")
    assert chat.evaluate(listed, {"tag": "work"}) == [ids[0]]
    chat.evaluate(f"archive('{ids[0]}')")
    chat.evaluate(f"remove('{ids[1]}')")
    assert chat.evaluate(listed) == [ids[2]]
    assert chat.evaluate(listed, {"archived": "true"}) == [ids[0]]
    assert [row["id"] for row in chat.evaluate("trash()")["data"]] == [ids[1]]
    chat.evaluate(f"restore('{ids[1]}')")
    assert set(chat.evaluate(listed)) == {ids[1], ids[2]}

    complaints.expect(r" 404 ")
    refused = chat.evaluate("items('conv_0').catch((error) => [error.status, error.param, error.message])")
    assert refused == [404, "conversation_id", "There is no such conversation."]


def test_the_documented_code_uploads_a_picture_and_draws_it(chat: Page, complaints: Complaints) -> None:
    data = list(encode_picture(quarters()))
    ids = asked(
        chat,
        f"upload(new File([new Uint8Array({data})], 'a.png', {{type: 'image/png'}}))"
        ".then((file) => sayWithPicture('What is this?', file, null, show))",
    )
    drawn = chat.evaluate(
        f"""async () => {{
            const [question] = await items('{ids["conversation"]}');
            const image = question.content.map(draw).find((node) => node.tagName === 'IMG');
            await image.decode();
            return [image.naturalWidth, question.content.map((part) => part.type)];
        }}"""
    )
    assert drawn[0] > 0
    assert drawn[1] == ["input_text", "input_image"]


# --- the whole page -----------------------------------------------------------------------------


@pytest.fixture
def example(page: Page, site: Run, product: Product, other_origin: OtherOrigin) -> Page:
    text = (ROOT / "docs" / "examples" / "chat.html").read_text()
    other_origin.pages["/example"] = text.replace("http://127.0.0.1:8000", site.url)
    page.goto(f"{other_origin.url}/example")
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_the_example_page_is_a_whole_chat(example: Page, alice: Person, complaints: Complaints) -> None:
    thread, conversations = example.locator("#thread"), example.get_by_label("Conversations")
    say(example, "Pick a number")
    expect(thread).to_contain_text("You said: Pick a number")
    expect(conversations.get_by_role("button", name="Pick a number")).to_be_visible()

    example.get_by_role("button", name="Answer again").click()
    expect(thread).to_contain_text("2/2")
    example.get_by_role("button", name="Previous version").click()
    expect(thread).to_contain_text("1/2")
    example.reload()
    expect(thread).to_contain_text("1/2")

    example.once("dialog", lambda dialog: dialog.accept("Pick a colour"))
    example.get_by_role("button", name="Edit").click()
    expect(thread).to_contain_text("You said: Pick a colour")
    expect(thread).not_to_contain_text("number")

    say(example, "[[chunks: 500]] [[slow: 0.05]]")
    expect(thread).to_contain_text("w3")
    example.reload()
    expect(thread).to_contain_text("w9")
    example.get_by_role("button", name="Stop").click()
    expect(example.get_by_role("button", name="Stop")).to_be_hidden()
    wait_until(lambda: Completion.objects.order_by("-id")[0].state == "cancelled")

    example.once("dialog", lambda dialog: dialog.accept("Numbers"))
    conversations.get_by_role("button", name="Rename").click()
    expect(conversations).to_contain_text("Numbers")
    conversations.get_by_role("button", name="Delete").click()
    expect(thread).to_be_empty()
    expect(conversations).not_to_contain_text("Numbers")
    assert Conversation.objects.get().deleted_at is not None
    assert alice.key not in example.content()


def test_the_example_page_sends_a_picture(example: Page, complaints: Complaints) -> None:
    example.get_by_label("Picture").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": encode_picture(quarters())}
    )
    say(example, "What is this?")
    picture = example.locator("#thread img")
    expect(picture).to_be_visible()
    example.wait_for_function("document.querySelector('#thread img').naturalWidth > 0")
