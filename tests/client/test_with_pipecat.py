"""The Pipecat service does over a socket what it does in one process: its own tests, against a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from csm_plugin.client import RemoteEngine
from tests.pipecat.test_with_engine import (
    REAL_TIME,
    test_a_reply_at_once_after_an_interruption_sounds_as_after_what_was_heard,
    test_a_streamed_reply_comes_out_as_the_engines_own_samples,
    test_an_interruption_frees_the_row_within_two_steps_and_keeps_what_was_heard,
    test_in_interrupted_turns_the_two_contexts_agree_word_for_word,
    test_services_that_speak_at_once_each_sound_as_if_alone,
    test_the_row_is_free_after_the_pipeline_has_ended,
    test_the_users_turn_is_encoded_before_the_reply,
)
from tests.server.running import running

__all__ = [
    "REAL_TIME",
    "test_a_reply_at_once_after_an_interruption_sounds_as_after_what_was_heard",
    "test_a_streamed_reply_comes_out_as_the_engines_own_samples",
    "test_an_interruption_frees_the_row_within_two_steps_and_keeps_what_was_heard",
    "test_in_interrupted_turns_the_two_contexts_agree_word_for_word",
    "test_services_that_speak_at_once_each_sound_as_if_alone",
    "test_the_row_is_free_after_the_pipeline_has_ended",
    "test_the_users_turn_is_encoded_before_the_reply",
]


@pytest.fixture
def engine(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteEngine]:
    """An engine behind a server; the tests may look at, and edit, the steps of the server's own."""
    with running(tiny_checkpoint) as server, RemoteEngine(server.ws) as remote:
        monkeypatch.setattr(remote, "stats", server.engine.stats)
        monkeypatch.setattr(remote, "_scheduler", server.engine._scheduler, raising=False)
        yield remote
