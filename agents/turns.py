"""Shows the turns of the conversation while they happen: to a caller's page, and in the log."""

from __future__ import annotations

import asyncio

from loguru import logger
from pipecat.pipeline.worker import PipelineWorker

from csm_plugin.pipecat import TurnTimeline
from csm_plugin.pipecat.turn import Turn

INTERVAL_S = 0.1


def show_turns(timeline: TurnTimeline, worker: PipelineWorker) -> None:
    """Send each turn that changed to the page, a tenth of a second later, with all that changed in between.

    The page gets RTVI server messages: `{"type": "turn", "turn": Turn.to_dict(), "now_s": seconds}`, the times of both
    on the pipeline's clock.
    """
    waiting: set[int] = set()

    @timeline.event_handler("on_turn_changed")
    async def send(_timeline: TurnTimeline, turn: Turn) -> None:
        if turn.number in waiting:
            return
        waiting.add(turn.number)
        await asyncio.sleep(INTERVAL_S)
        waiting.discard(turn.number)
        now_s = worker.rtvi.get_clock().get_time() / 1e9
        await worker.rtvi.send_server_message({"type": "turn", "turn": turn.to_dict(), "now_s": now_s})


def log_turns(timeline: TurnTimeline) -> None:
    """Log how long the user waited for each answer: `Turn.reply_delay_s`, which the page shows too."""
    logged = 0

    @timeline.event_handler("on_turn_changed")
    async def log(_timeline: TurnTimeline, turn: Turn) -> None:
        nonlocal logged
        if turn.reply_delay_s is not None and turn.number > logged:
            logged = turn.number
            logger.info(f"session: turn {turn.number} answered after {turn.reply_delay_s:.2f} s")
