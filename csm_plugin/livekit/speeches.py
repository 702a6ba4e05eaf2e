"""What LiveKit's speeches tell of themselves: on whose behalf a task works, and whose turn it is to be said.

A session says one speech after the other. A reply's text is written while others are still said, so asking for sound
is no sign that its turn has come; LiveKit knows the order of its queue, and gives each step of a speech its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from livekit.agents.voice import SpeechHandle, agent, agent_activity

if TYPE_CHECKING:
    from livekit.agents import tts

_speech_now: Any = getattr(agent_activity, "_SpeechHandleContextVar", None)
_activity_now: Any = getattr(agent_activity, "_AgentActivityContextVar", None)
_info_of: Any = getattr(agent, "_get_activity_task_info", None)
_wait: Any = getattr(SpeechHandle, "_wait_for_authorization", None)


def check_supported() -> None:
    """Raise RuntimeError if this version of livekit-agents does not tell what is asked here."""
    if None in (_speech_now, _activity_now, _info_of, _wait):
        raise RuntimeError("this version of livekit-agents is not supported; install livekit-agents 1.8")


def current_speech() -> SpeechHandle | None:
    """The session's speech for which the running task makes sound; None outside a session, and in a tool's own code."""
    info = _task_info()
    if _speech_now is None or (info is not None and info.function_call is not None):
        return None
    speech: SpeechHandle | None = _speech_now.get(None)
    return speech


def current_tts() -> tts.TTS[Any] | None:
    """The TTS of the agent for which the running task works, which may not be the session's current one any more."""
    activity = None if _activity_now is None else _activity_now.get(None)
    found: tts.TTS[Any] | None = None if activity is None else activity.tts
    return found


def is_typed() -> bool:
    """Whether the user's turn that the running task adds to the history came as text."""
    info = _task_info()
    speech: SpeechHandle | None = None if info is None else info.speech_handle
    return speech is not None and speech.input_details.modality == "text"


def has_turn(speech: SpeechHandle) -> bool:
    """Whether it is this speech's turn to be said, until it was said to its end or interrupted."""
    turns = _turns(speech)
    return bool(turns) and not turns[-1].done()


def is_over(speech: SpeechHandle) -> bool:
    """Whether nothing more of this speech will be said, but for what a further step of it may bring."""
    turns = _turns(speech)
    return speech.done() or (bool(turns) and len(turns) >= speech.num_steps and turns[-1].done())


def when_over(speech: SpeechHandle, call: Callable[[], None]) -> None:
    """Call something when the turn that this speech has is over: then all that was heard of it is in the history."""
    _turns(speech)[-1].add_done_callback(lambda _turn: call())


def its_turn(speech: SpeechHandle) -> Coroutine[Any, Any, None]:
    """Return when it becomes this speech's turn; cancel it where nothing of it will be said."""
    waiting: Coroutine[Any, Any, None] = _wait(speech)
    return waiting


def _turns(speech: SpeechHandle) -> list[asyncio.Future[None]]:
    turns: list[asyncio.Future[None]] = getattr(speech, "_generations", [])
    return turns


def _task_info() -> Any:
    task = asyncio.current_task()
    return None if task is None or _info_of is None else _info_of(task)
