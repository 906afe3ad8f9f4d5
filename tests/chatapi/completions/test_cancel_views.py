"""What a cancelled answer shows, and to whom."""

from typing import Any

from django.test import Client

from accounts.keys.validation import principal_of_secret
from conversations.models import Completion, Conversation
from conversations.stored_run import owned_idempotency_key
from tests.access.actors import browser
from tests.support.history_rows import create_exchange
from tests.support.people import Person, token_for

BY_KEY = "/v1/chat/completions/cancel"


def cancelled_by_key(alice: Person, end_user: str) -> Any:
    """Return what xavier's browser is shown of its call, whose conversation is now this end user's."""
    token = token_for(alice, "xavier")
    key = owned_idempotency_key(principal_of_secret(token), "once")
    completion = create_exchange(alice, answer="Tangerine")
    Completion.objects.filter(pk=completion.pk).update(idempotency_key=key)
    Conversation.objects.update(end_user=end_user)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    answer = browser().post(BY_KEY, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_ones_own_answer_is_shown_whole(alice: Person) -> None:
    shown = cancelled_by_key(alice, "xavier")
    assert shown["choices"][0]["message"]["content"] == "Tangerine"


def test_what_is_not_the_callers_to_read_is_an_outline(alice: Person) -> None:
    shown = cancelled_by_key(alice, "yvonne")
    assert (shown["state"], "choices" in shown, "conversation_id" in shown) == ("completed", False, False)


def test_without_the_service_nothing_is_cancelled(alice: Person, client: Client) -> None:
    path = f"/v1/chat/completions/{create_exchange(alice).public_id}/cancel"
    for address in (path, BY_KEY):
        headers = {**alice.headers, "Idempotency-Key": "once"}
        assert client.post(address, headers=headers).status_code == 503
