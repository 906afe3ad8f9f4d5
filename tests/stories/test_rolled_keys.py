"""A key gets a new secret while its product is running: no call is refused, and conversations go on."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx2
from django.utils import timezone

from accounts.models import EndUserToken, KeySecret
from conversations.models import Completion, Conversation
from core.ids import KEY, PROJECT, format_id
from tests.support.people import Person, signed_in, token_for
from tests.support.running_server import PATHS, Server, chat_body, wait_until

COMPLETIONS = PATHS["openai"]


def roll(who: Person, seconds: int) -> str:
    """Roll the person's key in a browser of theirs; return the new secret."""
    project, key = format_id(PROJECT, who.workspace.pk), format_id(KEY, who.key_id)
    answer = signed_in(who.user).post(
        f"/v1/organization/projects/{project}/api_keys/{key}/roll",
        {"overlap_seconds": seconds},
        content_type="application/json",
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["id"] == key
    return str(answer.json()["value"])


def ask(server: Server, secret: str, body: dict[str, object]) -> httpx2.Response:
    with server.client() as client:
        return client.post(COMPLETIONS, json=body, headers={"Authorization": f"Bearer {secret}"})


def test_no_call_is_refused_while_a_key_is_rolled_and_deployed(server: Server, alice: Person) -> None:
    secret, is_over, statuses = [alice.key], threading.Event(), []

    def keep_asking() -> None:
        while not is_over.is_set():
            statuses.append(ask(server, secret[0], chat_body("Hello")).status_code)

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(keep_asking) for _ in range(3)]
        wait_until(lambda: len(statuses) > 10)
        new = roll(alice, 3600)
        before = len(statuses)
        wait_until(lambda: len(statuses) > before + 10)  # the product has the old one still
        secret[0] = new
        before = len(statuses)
        wait_until(lambda: len(statuses) > before + 10)
        is_over.set()
        for one in asking:
            one.result()

    assert set(statuses) == {200}
    assert set(Completion.objects.values_list("api_key_id", flat=True)) == {alice.key_id}


def test_a_conversation_goes_on_with_the_new_secret(server: Server, alice: Person) -> None:
    first = ask(server, alice.key, chat_body("Hello", user="xavier")).json()
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
        {"role": "user", "content": "And now?"},
    ]

    new = roll(alice, 0)
    answer = ask(server, new, {"model": "scripted", "messages": history, "user": "xavier"})

    assert answer.status_code == 200
    assert Conversation.objects.count() == 1
    assert Completion.objects.count() == 2


def test_the_old_secret_ends_with_the_overlap_and_what_runs_for_it_too(server: Server, alice: Person) -> None:
    new = roll(alice, 3600)
    assert ask(server, alice.key, chat_body("Hi")).status_code == 200
    body = chat_body("[[text: begun]] [[stall]]", stream=True)
    with server.client(alice) as client, client.stream("POST", COMPLETIONS, json=body) as stream:
        lines = stream.iter_lines()
        assert any("begun" in line for line in lines)

        past = timezone.now() - timedelta(seconds=1)
        KeySecret.objects.exclude(expires_at=None).update(expires_at=past)

        list(lines)
    wait_until(lambda: Completion.objects.filter(state="cancelled").count() == 1)
    refused = ask(server, alice.key, chat_body("Hi"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert ask(server, new, chat_body("Hi")).status_code == 200


def test_tokens_end_with_the_secrets_that_they_were_made_with(server: Server, alice: Person) -> None:
    """Whoever had a leaked secret may have made some."""
    token = token_for(alice, "xavier")
    second = roll(alice, 60)
    assert ask(server, token, chat_body("Hi")).status_code == 200
    assert EndUserToken.objects.get().expires_at <= timezone.now() + timedelta(seconds=60)

    with server.client(alice) as late:  # with the old secret, while it still works
        made = late.post("/v1/end_user_tokens", json={"user": "yvonne", "expires_in_seconds": 86_400}).json()
    assert made["expires_at"] <= time.time() + 60

    roll(dataclasses.replace(alice, key=second), 0)

    for one in (token, made["token"]):
        assert ask(server, one, chat_body("Hi")).status_code == 401
