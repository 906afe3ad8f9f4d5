"""Prices that are picked, or got around, by how a call is made."""

from tests.attacks.checks import check, check_all, check_status, describe, error_of
from tests.attacks.stage import TIER, Stage, usd
from tests.support.fake_upstream import end, say, stream, whole

ANSWERS = 4


def tier_of_the_sum(stage: Stage) -> None:
    """Have others pay a long prompt's price for short ones: ask for several answers at once."""
    problem = _mispriced(stage, prompt=TIER * 4 // 10, rate=1_000)
    check(not problem, str(problem))


def tier_of_each_prompt(stage: Stage) -> None:
    """Pay a short prompt's price for long ones, in the same way."""
    problem = _mispriced(stage, prompt=TIER * 12 // 10, rate=100_000)
    check(not problem, str(problem))


def _mispriced(stage: Stage, prompt: int, rate: int) -> str | None:
    """Get four answers from an upstream that gives one at a time. `rate` is in nano-USD a token."""
    who = stage.newcomer("50")
    usage = {"prompt_tokens": prompt, "completion_tokens": 5, "total_tokens": prompt + 5}
    stage.will(whole({"role": "assistant", "content": "Yes."}, usage=usage))
    answer = stage.ask(who, "word " * prompt, model="tiered", n=ANSWERS)
    if answer.status_code != 200:
        return describe(answer)
    charge = stage.charge(who)
    wanted = ANSWERS * (prompt * rate + 5 * 10_000)
    if charge.cost != wanted:
        return f"{ANSWERS} prompts of {prompt} tokens: {usd(charge.cost)} billed and not {usd(wanted)}"
    return None if charge.cost <= charge.held else f"{usd(charge.cost)} billed, {usd(charge.held)} held"


def services_without_a_price(stage: Stage) -> None:
    """Get what the upstream charges more for at the price of the ordinary: faster answers, web searches."""
    who = stage.newcomer()
    asked = stage.will(stream(say("Found."), end()))
    wishes = {
        "service_tier": ("priority",),
        "web_search_options": ({}, {"search_context_size": "high"}),
    }
    problems = {}
    for param, values in wishes.items():
        for value in values:
            for dialect in ("native", "openai"):
                answer = stage.ask(who, "Hello", dialect, **{param: value})
                status, _, named = error_of(answer)
                is_refused = (status, named) == (400, param)
                problems[f"{param}={value}, {dialect}"] = None if is_refused else describe(answer)
    check_all(problems)
    check(len(stage.upstream.requests) == asked, "the upstream was asked")


def ordinary_services(stage: Stage) -> None:
    """Have ordinary calls refused, which name the tier that all have."""
    who = stage.newcomer()
    for tier in ("auto", "default"):
        stage.will(stream(say("Hello."), end()))
        check_status(stage.ask(who, "Hello", service_tier=tier), 200)
