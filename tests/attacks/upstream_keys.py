"""The operator's key for an upstream, got from what the upstream says about it."""

from base64 import b64encode
from typing import Any

from conversations.models import Completion
from tests.attacks.checks import check, check_all
from tests.attacks.stage import KEY_VARIABLE, UPSTREAM_KEY, Stage, request_body
from tests.support.fake_upstream import Answer, end, frame, raw, say, status, stream
from tests.support.run_command import running
from tests.support.running_server import PATHS, wait_until

QUOTED = f"API key not valid: {UPSTREAM_KEY}."


def quoted_in_errors(stage: Stage) -> None:
    """Read the operator's key in an error: it ends in a blank, which the upstream's quote leaves out."""
    error = {"message": QUOTED, "type": "invalid_request_error"}
    named = {"message": "No.", "type": UPSTREAM_KEY, "code": UPSTREAM_KEY, "param": UPSTREAM_KEY}
    late = frame({"error": {"message": QUOTED, "code": 400}})
    answers = {
        **{f"status {n}": status(n, error) for n in (400, 401, 404, 413, 422, 429, 500, 503)},
        "its code": status(400, named),
        "a text": Answer(400, {"Content-Type": "text/plain"}, (QUOTED.encode(),)),
        "an error for an answer": raw(late),
        "a late error": raw(frame(say("Well. ")), late),
        "an error with a whole answer": stream(say("Well."), end(error=error)),
    }
    problems = {}
    for name, answer in answers.items():
        for streams in (False, True):
            problems[f"{name}{', streamed' if streams else ''}"] = _leak(stage, answer, stream=streams)
    check_all(problems)


def guessed_by_what_is_masked(stage: Stage) -> None:
    """Find the operator's secrets bit by bit: a guess that an upstream quotes is masked if it is right."""
    signing_key = (stage.data / "secret.key").read_text().strip()
    parts = {
        "the start": UPSTREAM_KEY[:14],
        "the first characters that are secret": UPSTREAM_KEY[6:14],
        "the middle": UPSTREAM_KEY[9:18],
        "the end": UPSTREAM_KEY[-8:],
        "a shortened key": f"{UPSTREAM_KEY[6:10]}...{UPSTREAM_KEY[-4:]}",
        "base64": b64encode(UPSTREAM_KEY[6:14].encode()).decode(),
        "the key that signs sessions": signing_key[:20],
    }
    problems = {}
    for name, right in parts.items():
        wrong = right[:-1] + ("7" if right[-1] != "7" else "8")
        seen = {_is_quoted(stage, guess) for guess in (right, wrong)}
        problems[name] = "a right guess looks other than a wrong one" if len(seen) > 1 else None
    check_all(problems)


def _is_quoted(stage: Stage, guess: str) -> bool:
    """Tell whether a client reads what the upstream quotes of its request."""
    message = (
        f"Invalid schema for function 'f': In context=('properties', '{guess}'), array schema missing items."
    )
    stage.will(status(400, {"message": message, "type": "invalid_request_error"}))
    answer = stage.ask(stage.newcomer(), "Hello", model="keyed")
    check(answer.status_code == 400, f"{answer.status_code} {answer.text[:200]}")
    return guess in answer.text


def quoted_in_the_log(stage: Stage) -> None:
    """Read the operator's key in the server's log, after a fallback has answered."""
    who = stage.newcomer()
    stage.will(status(503, {"message": QUOTED}))
    answer = stage.ask(who, "Hello", model="keyed-with-fallback")
    check(answer.status_code == 200, f"no fallback was asked: {answer.status_code} {answer.text[:200]}")
    check(UPSTREAM_KEY not in stage.log, "the log has the key")


def key_reaches_its_upstream(stage: Stage) -> None:
    """Stop a model because the operator's variable ends in a blank."""
    who = stage.newcomer()
    stage.will(stream(say("Hello."), end()))
    stage.ask(who, "Hello", model="keyed")
    sent = stage.upstream.requests[-1].headers.get("authorization")
    check(sent == f"Bearer {UPSTREAM_KEY}", f"the upstream got {sent!r}")


def key_of_two_lines(stage: Stage) -> None:
    """Have each call of a model end in a traceback, because its key holds a newline."""
    who = stage.newcomer()
    environment = {**stage.environment, KEY_VARIABLE: f"{UPSTREAM_KEY}\n\nX-Injected: 1"}
    stage.will(stream(say("Hello."), end()))
    with running(stage.data, **environment) as server:
        wait_until(lambda: "Ready: " in server.output or server.process.poll() is not None)
        if server.process.poll() is not None:
            server.wait()  # until all that it wrote is read
            said = server.error_output
            is_clear = KEY_VARIABLE in said and said.count("\n") == 1 and UPSTREAM_KEY not in said
            check(is_clear, f"the start ended with {said[-300:]!r}")
            return
        answers = {}
        with server.client(who.key) as client:
            for model in ("keyed", "keyed-with-fallback"):
                body = request_body("Hello", model=model)
                answers[model] = client.post(PATHS["openai"], json=body)
        server.stop()
    came = {model: f"{answer.status_code} {answer.text[:200]}" for model, answer in answers.items()}
    is_clean = answers["keyed"].status_code not in (200, 500) and "error" in answers["keyed"].json()
    check(is_clean and answers["keyed-with-fallback"].status_code == 200, str(came))
    log = server.output + server.error_output
    check("Traceback" not in log, f"a traceback in the log: {log.partition('Traceback')[2][-500:]}")
    leaks = UPSTREAM_KEY in log or any(UPSTREAM_KEY in answer.text for answer in answers.values())
    check(not leaks, "the key is in the log or in an answer")


def _leak(stage: Stage, answer: Answer, **more: Any) -> str | None:
    """Where the key can be read after this answer of the upstream."""
    who = stage.newcomer()
    stage.will(answer)
    came = stage.ask(who, "Hello", model="keyed", **more)
    if UPSTREAM_KEY in came.text:
        return "the client is told"
    wait_until(lambda: not Completion.objects.filter(workspace=who.workspace, state="in_progress").exists())
    stored = str(list(Completion.objects.filter(workspace=who.workspace).values()))
    if UPSTREAM_KEY in stored:
        return "it is stored"
    return "the log has it" if UPSTREAM_KEY in stage.log else None
