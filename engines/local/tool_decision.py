"""Whether the last message needs a tool: asked of the model itself, before it answers.

Left to choose, a model of this size calls tools for greetings and writes calls as prose. It does better at
a narrow question with examples. Two wordings are asked, one token each. The score is how much likelier the
token for a call is than the one against it, minus half of the same for messages that need no tool, because
the model prefers some tools whatever is asked. Measured on 83 messages that need the tool (22 tools) and
139 that do not, the two together separate them with an area under the curve of 0.996 (one alone: 0.989).
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from engines.messages import Message, text_message
from engines.requests import Tool

THRESHOLD = 0.75
"""In natural logarithms; 78 of those 83 messages exceed it, and none of the 139."""
BASELINE_WEIGHT = 0.5
MESSAGE_LIMIT = 1200
"""Characters of the message that are considered, half of them from its end."""
DESCRIPTION_LIMIT = 200
BASELINE_CACHE_SIZE = 256
CANDIDATE_LIMIT = 6

NEUTRAL_MESSAGES = ("Hello!", "Tell me something.")
TOP_LOGPROBS = 20


class Example(msgspec.Struct, frozen=True):
    tool: str
    does: str
    message: str
    needs: bool


_DISTANCE = ("get_distance", "Get the driving distance between two places")
_TICKET = ("create_ticket", "Open a support ticket")
_RESTAURANT = ("find_restaurant", "Find restaurants nearby")
_SUM = ("sum_numbers", "Add numbers")
_FILE = ("read_file", "Read a file from disk")
_DOOR = ("lock_door", "Lock or unlock a door")
_CINEMA = ("movie_times", "Show when a movie is playing")
_SMS = ("send_sms", "Send a text message to a phone number")
_PHOTO = ("edit_photo", "Crop, rotate or resize a photo")
_BANK = ("get_balance", "Get the balance of a bank account")
_NEWS = ("get_news", "Get the latest headlines on a topic")

EXAMPLES = (
    Example(*_DISTANCE, "How far is it from Rome to Milan?", True),
    Example(*_SUM, "Hi there, how is it going?", False),
    Example(*_DISTANCE, "Write a poem about travelling.", False),
    Example(*_TICKET, "My printer is broken.", True),
    Example(*_SUM, "Who was the first man on the moon?", False),
    Example(*_RESTAURANT, "I am hungry, where can I get sushi here?", True),
    Example(*_SMS, "Tell me a riddle.", False),
    Example(*_DOOR, "Did I leave the house open? Close it.", True),
    Example(*_DISTANCE, "What is the capital of Peru?", False),
    Example(*_CINEMA, "When can I see Dune tonight?", True),
    Example(*_FILE, "When was the telephone invented?", False),
    Example(*_RESTAURANT, "What is 6 + 7?", False),
    Example(*_TICKET, "Thanks, well done!", False),
    Example(*_PHOTO, "Explain how a bicycle works in two sentences.", False),
    Example(*_BANK, "How much money do I have left?", True),
    Example(*_DOOR, "You are funny!", False),
    Example(*_NEWS, "What is going on in Brazil at the moment?", True),
    Example(*_NEWS, "Write a function that sorts a list.", False),
    Example(*_BANK, "Shorten this: We walked for an hour and then we rested.", False),
)

NO_TOOL_TOPICS = "greetings, thanks, feelings, general knowledge, explanations, writing, coding"


class Wording(msgspec.Struct, frozen=True):
    """One way to ask: the instruction, the question, and the answers for and against a call."""

    instruction: str
    question: str
    against: str
    for_: str | None = None
    """None: the tool's name."""

    def prompt(self, tools: str, message: str) -> tuple[Message, ...]:
        messages = [text_message("system", self.instruction)]
        for example in EXAMPLES:
            tools_text = f"{example.tool}: {example.does}"
            messages.append(text_message("user", self._ask(tools_text, example.message)))
            answer = (self.for_ or example.tool) if example.needs else self.against
            messages.append(text_message("assistant", answer))
        return (*messages, text_message("user", self._ask(tools, message)))

    def margin(self, tokens: dict[str, float], name: str) -> float:
        """Return how much likelier a call is; `tokens` maps the likeliest first tokens to logarithms."""
        floor = min(tokens.values()) - 1
        in_favor = [log for token, log in tokens.items() if _is_start_of(token, self.for_ or name)]
        against = [log for token, log in tokens.items() if token.lower() == self.against]
        return _log_sum(in_favor, floor) - _log_sum(against, floor)

    def _ask(self, tools: str, message: str) -> str:
        return self.question.format(tools=tools, message=message)


YES_OR_NO = Wording(
    "Each message comes with a tool. Answer yes if the message asks for what the tool does. "
    f"Answer no for {NO_TOOL_TOPICS} and anything else.",
    "{tools}\n\nMessage: {message}",
    against="no",
    for_="yes",
)
BY_NAME = Wording(
    "Name the tool that the message asks for. Most messages need none.",
    f"Tools:\n{{tools}}\nnone: {NO_TOOL_TOPICS} or anything else\n\nMessage: {{message}}",
    against="none",
)

Ask = Callable[[tuple[Message, ...], dict[str, Any]], Awaitable[tuple[str, dict[str, float]]]]
"""Asks the model with messages and parameters; returns the text and the likeliest first tokens."""


class Verdict(msgspec.Struct, frozen=True):
    tool: Tool
    score: float

    @property
    def is_needed(self) -> bool:
        return self.score > THRESHOLD


class ToolDecider:
    """The choice of a tool for a message; remembers the baselines of tool lists it has seen."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._baselines: dict[str, float] = {}

    async def find_best(self, message: str, tools: tuple[Tool, ...]) -> Verdict:
        """Return the tool that fits the message best; each is judged alone, as in a list they interfere."""
        verdicts = [
            Verdict(tool, await self.score(message, tool)) for tool in _preselect(_shorten(message), tools)
        ]
        return max(verdicts, key=lambda verdict: verdict.score)

    async def score(self, message: str, tool: Tool) -> float:
        """Return how strongly the message suggests a call; comparable between tools."""
        tools_text = _describe((tool,))
        baseline = self._baselines.get(tools_text)
        if baseline is None:
            margins = [await self._margin(text, tools_text, tool.name) for text in NEUTRAL_MESSAGES]
            baseline = sum(margins) / len(margins)
            if len(self._baselines) >= BASELINE_CACHE_SIZE:
                self._baselines.pop(next(iter(self._baselines)))
            self._baselines[tools_text] = baseline
        return await self._margin(_shorten(message), tools_text, tool.name) - BASELINE_WEIGHT * baseline

    async def warm_up(self) -> None:
        """Have the model read the examples, so that the first real question does not wait for that.

        They are some 1,400 tokens; llama.cpp keeps what it has read in memory.
        """
        for wording in (YES_OR_NO, BY_NAME):
            await self._ask_one(wording, NEUTRAL_MESSAGES[0], "")

    async def _margin(self, message: str, tools_text: str, name: str) -> float:
        # both at once where two slots are free
        questions = [self._ask_one(wording, message, tools_text) for wording in (YES_OR_NO, BY_NAME)]
        tasks = [asyncio.ensure_future(question) for question in questions]
        try:
            yes_or_no, by_name = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return YES_OR_NO.margin(yes_or_no, name) + BY_NAME.margin(by_name, name)

    async def _ask_one(self, wording: Wording, message: str, tools_text: str) -> dict[str, float]:
        params = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        _, tokens = await self._ask(wording.prompt(tools_text, message), params)
        return tokens


def _describe(tools: tuple[Tool, ...]) -> str:
    return "\n".join(f"{tool.name}: {(tool.description or tool.name)[:DESCRIPTION_LIMIT]}" for tool in tools)


def _preselect(message: str, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Of many tools, return those whose own words the message uses: judging one takes half a second."""
    if len(tools) <= CANDIDATE_LIMIT:
        return tools
    words = _words(message)
    ranked = sorted(
        tools, key=lambda tool: len(words & _words(f"{tool.name} {tool.description}")), reverse=True
    )
    return tuple(ranked[:CANDIDATE_LIMIT])


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W_]+", text.lower()) if len(word) > 2}


def _shorten(message: str) -> str:
    if len(message) <= MESSAGE_LIMIT:
        return message
    half = MESSAGE_LIMIT // 2
    return f"{message[:half]} … {message[-half:]}"


def _is_start_of(token: str, answer: str) -> bool:
    return bool(token) and answer.startswith((token, token.lower()))


def _log_sum(logs: list[float], floor: float) -> float:
    """Return the logarithm of the sum of probabilities; `floor` if there are none."""
    if not logs:
        return floor
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))
