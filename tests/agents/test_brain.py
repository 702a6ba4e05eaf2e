"""What the agent answers, and that it answers as an LLM service does."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import (
    LLMConfigureOutputFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.tests.utils import run_test

from agents.brain import AGAIN, GREETING, ScriptedBrain, answer, make_brain
from csm_plugin.text.normalize import is_speakable


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": GREETING}, {"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Hello!", "Hello"),
        ("My name is alice.", "Alice"),
        ("How are you?", "I am very well"),
        ("Could you tell me a story, please?", "fox"),
        ("Please say: the sky is blue.", "The sky is blue."),
        ("The train to Rome was late.", "The train to Rome was late"),
        ("Is it going to rain?", "What do you think?"),
        ("Goodbye.", "Goodbye"),
    ],
)
def test_an_answer_fits_what_was_said(text: str, reply: str) -> None:
    assert reply in answer(said(text))


@pytest.mark.parametrize("text", ["", "...", "   ", "?"])
def test_what_holds_no_words_is_asked_for_again(text: str) -> None:
    assert answer(said(text)) == AGAIN


def test_the_agent_greets_first_and_asks_again_when_told_that_nothing_was_understood() -> None:
    assert answer([]) == GREETING
    assert answer([{"role": "developer", "content": "The user was not understood."}]) == AGAIN


async def test_an_answer_is_streamed_in_speakable_tokens_between_start_and_end() -> None:
    context = LLMContext(said("Tell me a story."))  # type: ignore[arg-type]
    down, _ = await run_test(ScriptedBrain(token_s=0), frames_to_send=[LLMContextFrame(context)])
    assert isinstance(down[0], LLMFullResponseStartFrame)
    assert isinstance(down[-1], LLMFullResponseEndFrame)
    tokens = [frame.text for frame in down if isinstance(frame, LLMTextFrame)]
    assert len(tokens) > 20
    assert "".join(tokens) == answer(said("Tell me a story."))
    assert is_speakable("".join(tokens))


async def test_an_answer_that_is_only_read_is_marked_so() -> None:
    frames = [LLMConfigureOutputFrame(skip_tts=True), LLMContextFrame(LLMContext())]
    down, _ = await run_test(ScriptedBrain(token_s=0), frames_to_send=frames)
    assert {frame.skip_tts for frame in down} == {True}


def test_the_environment_chooses_an_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(make_brain(), ScriptedBrain)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_MODEL", "any-model")
    brain = make_brain()
    assert isinstance(brain, OpenAILLMService)
    assert brain.settings.model == "any-model"
