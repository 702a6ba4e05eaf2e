"""Judging a LiveKit agent without a server, a room or keys.

`ClockedOutput` plays to nobody in real time; `clocked_session` runs an `AgentSession` on it. `ConsoleBridge` runs a
whole worker process and is the far end of its console. `no_leaked_tasks` fails if work is left over.
"""

from __future__ import annotations

from csm_plugin.livekit.testing.clocked_output import ClockedOutput, Played
from csm_plugin.livekit.testing.console_bridge import ConsoleBridge
from csm_plugin.livekit.testing.leaks import no_leaked_tasks
from csm_plugin.livekit.testing.scripted_llm import ScriptedLLM
from csm_plugin.livekit.testing.session import ClockedSession, clocked_session

__all__ = [
    "ClockedOutput",
    "ClockedSession",
    "ConsoleBridge",
    "Played",
    "ScriptedLLM",
    "clocked_session",
    "no_leaked_tasks",
]
