"""Feedback on an answer: who says it, how it is changed, who sees it."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.keys.validation import principal_of_secret
from conversations.feedback import feedback_of, give_feedback
from conversations.models import Completion, Conversation, Message, Score
from conversations.settlement import answer_id
from core.exceptions import NotFound
from core.ids import MESSAGE, PROJECT, format_id
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.people import Person, signed_in, token_for


def path_of(completion: Completion) -> str:
    return f"/v1/chat/completions/{completion.public_id}/feedback"


def give(client: Client, completion: Completion, headers: dict[str, str], **body: Any) -> Any:
    answer = client.post(path_of(completion), json.dumps(body), "application/json", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def seen(client: Client, completion: Completion, headers: dict[str, str]) -> list[Any]:
    found: list[Any] = client.get(path_of(completion), headers=headers).json()["data"]
    return found


def test_a_server_says_what_an_answer_was_like(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)

    given = give(client, completion, alice.headers, thumbs="up", score=4.5, comment="Good", category="style")

    assert completion.first_answer
    times = given.pop("created_at"), given.pop("updated_at")
    assert times[0] == times[1] > 0
    assert given == {
        "object": "chat.completion.feedback",
        "completion_id": completion.public_id,
        "message_id": format_id(MESSAGE, completion.first_answer),
        "choice": 0,
        "source": "api",
        "user": None,
        "thumbs": "up",
        "score": 4.5,
        "comment": "Good",
        "category": "style",
    }
    shown = client.get(path_of(completion).removesuffix("/feedback"), headers=alice.headers).json()
    assert shown["feedback"] == seen(client, completion, alice.headers)
    assert [one["comment"] for one in shown["feedback"]] == ["Good"]


def test_a_conversation_that_was_deleted_meanwhile_gets_no_feedback(alice: Person) -> None:
    completion = Completion.objects.select_related("conversation").get(pk=create_exchange(alice).pk)
    Conversation.objects.update(deleted_at=timezone.now())

    with pytest.raises(NotFound):
        give_feedback(principal_of_secret(alice.key), completion, {"thumbs": "up"})

    assert not Score.objects.exists()


def test_only_what_is_sent_again_changes(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    give(client, completion, alice.headers, thumbs="down", comment="Too long", score=1)

    given = give(client, completion, alice.headers, thumbs="up", score=None, comment="")

    assert (given["thumbs"], given["score"], given["comment"]) == ("up", None, None)
    assert Score.objects.get().name == "thumbs"
    emptied = give(client, completion, alice.headers, thumbs=None)
    assert (emptied["thumbs"], emptied["created_at"]) == (None, None)
    assert seen(client, completion, alice.headers) == []


def test_an_end_user_has_one_opinion_whoever_brings_it(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    Conversation.objects.update(end_user="xavier")
    token = {"Authorization": f"Bearer {token_for(alice, 'xavier')}"}
    give(client, completion, token, thumbs="down", comment="Wrong")

    given = give(client, completion, alice.headers, thumbs="up")

    assert (given["source"], given["user"], given["comment"]) == ("end_user", "xavier", "Wrong")
    assert seen(client, completion, token) == seen(client, completion, alice.headers) == [given]


def test_a_token_sees_its_own_end_users_alone(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    give(client, completion, alice.headers, comment="Of the server")
    Conversation.objects.update(end_user="xavier")
    token = {"Authorization": f"Bearer {token_for(alice, 'xavier')}"}
    give(client, completion, token, comment="Of xavier")

    assert [one["comment"] for one in seen(client, completion, token)] == ["Of xavier"]
    assert len(seen(client, completion, alice.headers)) == 2
    stranger = {"Authorization": f"Bearer {token_for(alice, 'yvonne')}"}
    assert client.get(path_of(completion), headers=stranger).status_code == 404


def test_a_member_rates_their_own_and_not_what_is_shared(alice: Person, bob: Person) -> None:
    completion = create_exchange(alice)
    Conversation.objects.update(api_key_id=None, user=alice.user, visibility="workspace")
    team = {"X-Workspace-Id": format_id(PROJECT, alice.workspace.pk)}

    given = give(signed_in(alice.user), completion, team, thumbs="up")

    assert (given["source"], given["user"]) == ("user", None)
    assert Score.objects.get().user == alice.user
    teammate = signed_in(bob.user)
    refused = teammate.post(path_of(completion), {"thumbs": "up"}, "application/json", headers=team)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_yours")
    assert [one["thumbs"] for one in seen(teammate, completion, team)] == ["up"]


def test_each_answer_of_several_has_its_own(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    answer = Message.objects.get(completion=completion)
    add_message(answer.conversation, "assistant", "Hi.", after=answer.parent, completion=completion, choice=1)

    for choice, thumbs in ((0, "down"), (1, "up")):
        give(client, completion, alice.headers, thumbs=thumbs, choice=choice)

    assert completion.first_answer
    assert [(one["choice"], one["thumbs"]) for one in seen(client, completion, alice.headers)] == [
        (0, "down"),
        (1, "up"),
    ]
    second = seen(client, completion, alice.headers)[1]
    assert second["message_id"] == format_id(MESSAGE, answer_id(completion.first_answer, 1))


def test_an_answer_that_is_being_made_can_be_rated(alice: Person, client: Client) -> None:
    asked = add_message(conversation_of(alice), "user", "Tell me")
    completion = completion_of(alice, asked, "in_progress", request={"n": 2})

    assert give(client, completion, alice.headers, thumbs="down", choice=1)["choice"] == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "thumbs"),
        ({"choice": 0}, "thumbs"),
        ({"thumbs": "sideways"}, "thumbs"),
        ({"thumbs": True}, "thumbs"),
        ({"score": True}, "score"),
        ({"score": "5"}, "score"),
        ({"score": 10**400}, "score"),
        ({"score": 10**30}, "score"),
        ({"score": 1e300}, "score"),
        ({"comment": "x" * 4001}, "comment"),
        ({"comment": "x" * 1_000_000}, "comment"),
        ({"comment": "\0"}, "comment"),
        ({"comment": "\ud800"}, "comment"),
        ({"comment": ["Good"]}, "comment"),
        ({"category": "x" * 65}, "category"),
        ({"thumbs": "up", "choice": 1}, "choice"),
        ({"thumbs": "up", "choice": -1}, "choice"),
        ({"thumbs": "up", "choice": 10**30}, "choice"),
        ({"thumbs": "up", "choice": 0.0}, "choice"),
        ({"thumb": "up"}, "thumb"),
        ([], None),
    ],
)
def test_what_is_wrong_is_named(alice: Person, client: Client, body: Any, param: str | None) -> None:
    path = path_of(create_exchange(alice))
    answer = client.post(path, json.dumps(body), "application/json", headers=alice.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not Score.objects.exists()


@pytest.mark.parametrize(
    "raw", ['{"score": NaN}', '{"score": Infinity}', '{"score": 1e999}', '{"score": -1e999}']
)
def test_what_is_no_number_is_refused(alice: Person, client: Client, raw: str) -> None:
    path = path_of(create_exchange(alice))
    assert client.post(path, raw, "application/json", headers=alice.headers).status_code == 400


@pytest.mark.parametrize("number", [2, 50])
def test_that_of_many_completions_takes_one_query(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries, number: int
) -> None:
    completions = [create_exchange(alice) for _ in range(number)]
    for completion in completions[:2]:
        give(client, completion, alice.headers, thumbs="up", comment="Good")
    Score.objects.create(
        workspace=alice.workspace, completion=completions[0], source="reviewer", name="thumbs", number=-1
    )

    with django_assert_num_queries(1):
        found = feedback_of(principal_of_secret(alice.key), completions)

    assert {id: [one.thumbs for one in said] for id, said in found.items()} == {
        completion.pk: ["up"] for completion in completions[:2]
    }


def test_that_of_one_answer_takes_as_many_queries_however_much_was_said(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    completion = create_exchange(alice)
    for number in (2, 50):
        Score.objects.bulk_create(
            Score(
                workspace=alice.workspace,
                completion=completion,
                source="user",
                author=f"{number} {author}",
                name="thumbs",
                number=1,
            )
            for author in range(number)
        )
        with django_assert_num_queries(3):  # the key, the completion, what was said of it
            found = seen(client, completion, alice.headers)
    assert len(found) == 52
