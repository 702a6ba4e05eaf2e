"""What the agent says: a few built-in rules that stream their text as an LLM does, or any OpenAI-compatible LLM."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMConfigureOutputFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

TOKEN_S = 0.02
DEFAULT_LLM = "gpt-4.1-mini"
INSTRUCTION = (
    "You are a friendly voice agent. Your words are spoken aloud, so answer in one to three short, plain sentences, "
    "without lists, markup or emoji. If nobody has said anything yet, greet the user."
)
WITH_OLLAMA = "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2 make agent"
"""How an LLM of one's own machine is brought in, where the built-in rules answer."""

GREETING = "Hello there, it is good to hear you. What would you like to talk about?"
AGAIN = "I am sorry, I did not hear that well. Could you say it again?"


def make_brain() -> FrameProcessor:
    """The LLM that the environment names, or the built-in rules.

    `OPENAI_API_KEY`, `OPENAI_BASE_URL` (any server that speaks OpenAI's protocol) and `OPENAI_MODEL` choose an LLM.
    """
    model = chosen_llm()
    if model is None:
        return ScriptedBrain()
    from pipecat.services.openai.llm import OpenAILLMService  # half a second, for an LLM alone

    key, base_url = os.environ.get("OPENAI_API_KEY"), os.environ.get("OPENAI_BASE_URL")
    settings = OpenAILLMService.Settings(model=model, system_instruction=INSTRUCTION)
    return OpenAILLMService(api_key=key or "none", base_url=base_url or None, settings=settings)


def chosen_llm() -> str | None:
    """Return the model of the LLM that the environment names; None where the built-in rules answer."""
    if not os.environ.get("OPENAI_API_KEY") and not os.environ.get("OPENAI_BASE_URL"):
        return None
    return os.environ.get("OPENAI_MODEL") or DEFAULT_LLM


def describe_brain(agent: str = "agent") -> str:
    """Say in a line or two who answers, and how an LLM is brought in where there is none.

    Args:
        agent: what `make` calls the agent.
    """
    model = chosen_llm()
    if model is not None:
        return f"Answered by {model}, as OPENAI_BASE_URL and OPENAI_MODEL say."
    return (
        "Answered by a few built-in rules. OPENAI_BASE_URL and OPENAI_MODEL bring an LLM (OPENAI_API_KEY its key); "
        f"Ollama's:\n  {WITH_OLLAMA.removesuffix('agent')}{agent}"
    )


class ScriptedBrain(FrameProcessor):
    """Answers each context as an LLM service does, token by token, from a few rules.

    Args:
        token_s: seconds from one token to the next, at the pace of a quick LLM.
    """

    def __init__(self, *, token_s: float = TOKEN_S) -> None:
        super().__init__()
        self._token_s = token_s
        self._skip_tts: bool | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context; pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self._answer(answer(frame.context.get_messages()))
        elif isinstance(frame, LLMConfigureOutputFrame):
            self._skip_tts = frame.skip_tts
        else:
            await self.push_frame(frame, direction)

    async def _answer(self, text: str) -> None:
        await self._push(LLMFullResponseStartFrame())
        try:
            for token in re.findall(r"\s*\S+", text):
                await asyncio.sleep(self._token_s)
                await self._push(LLMTextFrame(token))
        finally:
            await self._push(LLMFullResponseEndFrame())

    async def _push(self, frame: LLMFullResponseStartFrame | LLMTextFrame | LLMFullResponseEndFrame) -> None:
        frame.skip_tts = self._skip_tts
        await self.push_frame(frame)


def answer(messages: Sequence[Any]) -> str:
    """The rules' answer to a conversation: a greeting if nobody has said anything yet."""
    if not messages:
        return GREETING
    last = messages[-1]
    content = last.get("content") if isinstance(last, dict) else None
    if not isinstance(content, str) or last.get("role") != "user":
        return AGAIN
    said = " ".join(content.split())
    for pattern, reply in _RULES:
        found = re.search(pattern, said, re.IGNORECASE)
        if found:
            return reply(found)
    return _echo(said)


def _echo(said: str) -> str:
    words = said.rstrip(".!?,; ")
    if not words:
        return AGAIN
    if said.endswith("?"):
        return f"That is a good question. You asked me, {words}. I wish I knew more about it. What do you think?"
    return f"I heard you say, {words}. That sounds interesting. Please tell me a little more."


_RULES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        r"\bmy name is (\w+)",
        lambda m: f"It is nice to meet you, {m[1].capitalize()}. I will try to remember your name. How are you today?",
    ),
    (
        r"\b(?:repeat after me|please say|say after me)\b[,:]?\s*(.+)",
        lambda m: f"With pleasure, here it is. {m[1].strip().capitalize()}",
    ),
    (
        r"\bhow are you\b",
        lambda m: "I am very well, thank you for asking. And how are you today?",
    ),
    (
        r"\bwho are you\b|\bwhat(?:'s| is) your name\b|\bwhat are you\b",
        lambda m: "I am a small voice agent, and this is my own voice. I run on this machine, without any network.",
    ),
    (
        r"\bwhat can you do\b|\bhelp\b",
        lambda m: "I can listen, I can answer, and you can stop me at any time. Just speak while I am talking.",
    ),
    (
        r"\bstory\b",
        lambda m: (
            "Here is a short story. A little fox went out to look for the sea. She walked all night, past the "
            "hills and the houses. In the morning she heard the waves, and she knew that the sea was her friend."
        ),
    ),
    (
        r"\bjoke\b",
        lambda m: "All right, here is one. Why did the book go to the doctor? Because it had hurt its spine.",
    ),
    (
        r"\bcount\b",
        lambda m: "One, two, three, four, five, six, seven, eight, nine, ten. That was easy.",
    ),
    (
        r"\bthank",
        lambda m: "You are very welcome. Is there anything else that you would like to hear?",
    ),
    (
        r"\b(?:bye|goodbye|good night)\b",
        lambda m: "Goodbye, and thank you for the talk. I hope to hear you again soon.",
    ),
    (
        r"^\W*(?:hello|hi|hey|good (?:morning|afternoon|evening))\b[^?]{0,20}$",
        lambda m: "Hello, it is nice to hear your voice. How can I help you today?",
    ),
)
