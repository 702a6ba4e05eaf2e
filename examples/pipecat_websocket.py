"""Text to speech alone over a WebSocket: text messages go in, sound comes out while it is made.

    python examples/pipecat_websocket.py [MODEL] [PORT]

Each text message is spoken after the one before, and an empty one silences all of them. Binary messages come back:
int16 samples, mono, 24 kHz. One client at a time, on this machine only.
"""

from __future__ import annotations

import asyncio
import os
import sys

os.environ.setdefault("LOGURU_LEVEL", "WARNING")  # Pipecat logs every step

from pipecat.frames.frames import Frame, InterruptionFrame, OutputAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.server import SingleClientWebsocketServerParams, SingleClientWebsocketServerTransport
from pipecat.workers.runner import WorkerRunner

from csm_plugin import Engine
from csm_plugin.pipecat import CSMTTSService


class TextInSoundOut(FrameSerializer):
    async def deserialize(self, data: str | bytes) -> Frame | None:
        if not isinstance(data, str):
            return None
        return TTSSpeakFrame(data) if data.strip() else InterruptionFrame()

    async def serialize(self, frame: Frame) -> str | bytes | None:
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None


async def main(model: str = "csm-tiny", port: str = "8765") -> None:
    with Engine.load(model) as engine:
        params = SingleClientWebsocketServerParams(serializer=TextInSoundOut(), audio_out_enabled=True)
        transport = SingleClientWebsocketServerTransport(params, host="127.0.0.1", port=int(port))
        worker = PipelineWorker(
            Pipeline([transport.input(), CSMTTSService(engine=engine), transport.output()]),
            params=PipelineParams(audio_out_sample_rate=engine.sample_rate),
            cancel_on_idle_timeout=False,
        )

        @transport.event_handler("on_client_disconnected")
        async def silence(_transport: SingleClientWebsocketServerTransport, _client: object) -> None:
            await worker.queue_frame(InterruptionFrame())

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        print(f"listening on ws://127.0.0.1:{port}; Ctrl-C ends it", flush=True)
        await runner.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
