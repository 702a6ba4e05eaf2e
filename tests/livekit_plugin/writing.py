"""An LLM that writes each answer at a pace of its own, in segments, and calls tools."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit.agents import APIConnectOptions, llm, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS


@dataclass(frozen=True)
class Answer:
    """What the LLM writes.

    Args:
        text: the words, maybe none.
        token_s: from one word to the next, in seconds.
        calls: tools that it calls behind its words.
    """

    text: str
    token_s: float = 0.01
    calls: tuple[str, ...] = ()


class Writer(llm.LLM[Any]):
    """Answers each context with what `answer` says, word by word; with words where it may call no tool."""

    def __init__(self, answer: Callable[[llm.ChatContext], Answer]) -> None:
        super().__init__()
        self.answer = answer

    @property
    def model(self) -> str:
        return "writer"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> llm.LLMStream:
        answer = self.answer(chat_ctx)
        if tool_choice == "none":
            answer = Answer(answer.text or "Well.", answer.token_s)
        return _Writing(self, answer, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Writing(llm.LLMStream):
    def __init__(self, writer: Writer, answer: Answer, **kwargs: Any) -> None:
        super().__init__(writer, **kwargs)
        self._answer = answer

    async def _run(self) -> None:
        number = utils.shortuuid("answer_")
        for token in re.findall(r"\s*\S+", self._answer.text):
            await asyncio.sleep(self._answer.token_s)
            self._send(number, llm.ChoiceDelta(role="assistant", content=token))
        for name in self._answer.calls:
            call = llm.FunctionToolCall(name=name, arguments="{}", call_id=utils.shortuuid("call_"))
            self._send(number, llm.ChoiceDelta(role="assistant", tool_calls=[call]))

    def _send(self, number: str, delta: llm.ChoiceDelta) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id=number, delta=delta))
