"""Clients that leave, or cancel, at the moment where the least is billed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from billing.models import Charge
from tests.attacks.checks import check, check_all, check_soon
from tests.attacks.stage import COMPLETION, PROMPT, Stage, request_body, usd
from tests.support.fake_upstream import ABORT, CLOSE, HANG, Answer, delta, end, frame, raw, say, status
from tests.support.leaving import read_until
from tests.support.people import Person
from tests.support.request_bodies import tool
from tests.support.running_server import PATHS, wait_until

PROMPT_TEXT = "word " * 8_000
"""Some 10,000 tokens."""
LEAST, MOST = 2_500, 40_000
TOLD = {"prompt_tokens": 10_007, "completion_tokens": 9}
READ_ON = 2.0
"""Seconds for which an upstream is read on after its finish."""
AT_ONCE = 1.8
"""Seconds within which an upstream is left that must not be read on."""
SLACK = 10.0
"""Seconds that a slow machine may take where nothing but a failure takes longer."""

ANSWER = frame(say("Certainly."))
FINISH = frame(end())
USAGE = frame({"choices": [], "usage": TOLD})
DONE = b"data: [DONE]\n\n"


def before_the_first_event(stage: Stage) -> None:
    """Have prompts read for nothing: leave as soon as the upstream has the whole of one."""
    silences = {"no answer at all": raw(HANG), "a head and no event": raw(b": ping\n\n", HANG)}
    problems = {}
    for name, silence in silences.items():
        for dialect, more in (("openai", {"stream": True}), ("openai", {}), ("native", {"stream": True})):
            charge = _left_at_once(stage, silence, dialect, {"on_disconnect": "cancel", **more})
            problems[f"{name}, {dialect}{', streamed' if more.get('stream') else ''}"] = _unbilled_prompt(
                charge
            )
    check_all(problems)


def cancel_before_the_first_event(stage: Stage) -> None:
    """Have prompts read for nothing: cancel as soon as the upstream has the whole of one."""
    who = stage.newcomer()
    asked = stage.will(raw(HANG))
    with stage.server.send(PATHS["native"], who.key, _body({"stream": True})):
        wait_until(lambda: len(stage.upstream.requests) > asked)
        _cancel(stage, who)
        problem = _unbilled_prompt(stage.charge(who))
    check(not problem, str(problem))


def leave_a_document_in_a_tool(stage: Stage) -> None:
    """Have a document in a tool read for nothing: leave after the answer, before its usage is told."""
    who = stage.newcomer()
    stage.will(raw(ANSWER, FINISH, HANG))
    with _stream(stage, who, {**request_body("Hi", stream=True), "tools": [tool(description=PROMPT_TEXT)]}):
        pass
    problem = _unbilled_prompt(stage.charge(who))
    check(not problem, str(problem))


def after_the_finish(stage: Stage) -> None:
    """Have the answer counted by its letters, not by its tokens: leave when its usage is about to come."""
    who = stage.newcomer()
    sent = stage.upstream.completed
    stage.will(raw(ANSWER, FINISH, 1.0, USAGE, DONE))
    with _stream(stage, who):
        time.sleep(0.2)
    charge = stage.charge(who)
    units = charge.prompt, charge.completion, charge.is_estimated
    wanted = TOLD["prompt_tokens"], TOLD["completion_tokens"], False
    check(stage.upstream.completed > sent, f"the upstream was cut off before it told its usage; {units}")
    check(units == wanted, f"billed {units} and not {wanted}")
    check(charge.cost == wanted[0] * PROMPT + wanted[1] * COMPLETION, f"billed {usd(charge.cost)}")


def after_the_finish_of_an_upstream_that_hangs(stage: Stage) -> None:
    """Keep calls open, and money held, at an upstream that never tells its usage."""
    who = stage.newcomer()
    stage.will(raw(ANSWER, FINISH, HANG))
    with _stream(stage, who):
        time.sleep(0.2)
    left_at = time.monotonic()
    _check_closed(stage, left_at, READ_ON + SLACK)
    problem = _unbilled_prompt(stage.charge(who))
    check(not problem, str(problem))


def before_the_finish(stage: Stage) -> None:
    """Have the upstream write on, at the operator's cost, after the client has left."""
    who = stage.newcomer()
    stage.will(raw(ANSWER, HANG))
    with _stream(stage, who):
        pass
    left_at = time.monotonic()
    _check_closed(stage, left_at, AT_ONCE)
    charge = stage.charge(who)
    check(charge.is_estimated, "no estimate was billed")
    problem = _unbilled_prompt(charge)
    check(not problem, str(problem))


def cancel_after_the_finish(stage: Stage) -> None:
    """Keep an answer going that its own user has cancelled."""
    who = stage.newcomer()
    stage.will(raw(ANSWER, FINISH, HANG))
    with _stream(stage, who, dialect="native"):
        time.sleep(0.2)
        cancelled_at = time.monotonic()
        _cancel(stage, who)
        _check_closed(stage, cancelled_at, AT_ONCE)
        problem = _unbilled_prompt(stage.charge(who))
    check(not problem, str(problem))


def thought_without_words(stage: Stage) -> None:
    """Leave while the model thinks, before it has written a word."""
    who = stage.newcomer()
    stage.will(raw(frame(delta(reasoning_content="Let me think. " * 400)), HANG))
    with _stream(stage, who, until="think"):
        time.sleep(0.2)
    charge = stage.charge(who)
    check(charge.reasoning >= 700, f"{charge.reasoning} tokens of reasoning billed for 5,600 bytes of it")


def what_failed_is_free(stage: Stage) -> None:
    """Make others pay for what they never got: an upstream's failures before its first event."""
    failures = {
        "500": status(500),
        "429": status(429),
        "broken off": Answer(writes=(ABORT,)),
        "closed": raw(CLOSE),
        "an error for an answer": raw(frame({"error": {"message": "Overloaded."}})),
    }
    problems = {}
    for name, failure in failures.items():
        who = stage.newcomer()
        stage.will(failure)
        answer = stage.ask(who, PROMPT_TEXT)
        cost = stage.charge(who).cost
        is_free = answer.status_code >= 400 and not cost
        problems[name] = None if is_free else f"{answer.status_code}, {usd(cost)}"
    check_all(problems)


def _body(more: dict[str, Any]) -> bytes:
    return msgspec.json.encode(request_body(PROMPT_TEXT, **more))


def _left_at_once(stage: Stage, answer: Answer, dialect: str, more: dict[str, Any]) -> Charge:
    """The charge of a call whose client left once the upstream had it."""
    who = stage.newcomer()
    asked = stage.will(answer)
    with stage.server.send(PATHS[dialect], who.key, _body(more)):
        wait_until(lambda: len(stage.upstream.requests) > asked)
        time.sleep(0.1)  # so that a head, where one comes, is read
    left_at = time.monotonic()
    _check_closed(stage, left_at, SLACK)
    return stage.charge(who)


@contextmanager
def _stream(
    stage: Stage,
    who: Person,
    body: dict[str, Any] | None = None,
    *,
    dialect: str = "openai",
    until: str = "Certainly.",
) -> Iterator[None]:
    """A stream that has been read until its first words; it is left when the block ends."""
    body = body or request_body(PROMPT_TEXT, stream=True)
    with stage.client(who) as client, client.stream("POST", PATHS[dialect], json=body) as response:
        pieces = response.iter_text()
        read_until(pieces, until)
        yield


def _cancel(stage: Stage, who: Person) -> None:
    with stage.client(who) as client:
        answer = client.post(f"/v1/chat/completions/{stage.completion(who).public_id}/cancel")
    check(answer.status_code == 200, f"the cancel was answered with {answer.status_code}")


def _check_closed(stage: Stage, since: float, seconds: float) -> None:
    """Check that the upstream's connection is closed within so many seconds of `since`."""
    check_soon(
        lambda: stage.upstream.client_gone_at,
        seconds - (time.monotonic() - since),
        f"the upstream is still read after {seconds:.1f} s",
    )


def _unbilled_prompt(charge: Charge) -> str | None:
    prompt = charge.prompt + charge.cached
    if not LEAST <= prompt <= MOST:
        return f"{prompt} tokens of the prompt billed ({usd(charge.cost)}), of some 10,000"
    if (charge.cost or 0) > charge.held:
        return f"{usd(charge.cost)} billed, and only {usd(charge.held)} held"
    return None
