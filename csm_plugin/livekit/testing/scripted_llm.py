"""An LLM whose answers are known beforehand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from livekit.agents import APIConnectOptions, llm, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS


class ScriptedLLM(llm.LLM[Any]):
    """Answers each context with what `answer` says, word by word as an LLM does.

    Args:
        answer: from the context to the whole answer.
        token_s: from one word to the next, in seconds.
    """

    def __init__(self, answer: Callable[[llm.ChatContext], str], *, token_s: float = 0.01) -> None:
        super().__init__()
        self._answer = answer
        self._token_s = token_s

    @property
    def model(self) -> str:
        """ "scripted"."""
        return "scripted"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **kwargs: Any,
    ) -> llm.LLMStream:
        """Answer a context."""
        answer = self._answer(chat_ctx)
        return _Answer(self, answer, self._token_s, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    def __init__(self, scripted: ScriptedLLM, text: str, token_s: float, **kwargs: Any) -> None:
        super().__init__(scripted, **kwargs)
        self._text = text
        self._token_s = token_s

    async def _run(self) -> None:
        number = utils.shortuuid("answer_")
        for token in re.findall(r"\s*\S+", self._text):
            await asyncio.sleep(self._token_s)
            delta = llm.ChoiceDelta(role="assistant", content=token)
            self._event_ch.send_nowait(llm.ChatChunk(id=number, delta=delta))
