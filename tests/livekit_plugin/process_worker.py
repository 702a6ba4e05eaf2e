"""A worker whose jobs are processes, without a LiveKit server: two jobs speak, each writes down what it saw.

`python process_worker.py FOLDER`; the model is `CSM_MODEL`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import psutil
from livekit.agents import AgentServer, APIConnectOptions, JobContext, JobExecutorType
from livekit.plugins import csm

from tests.livekit_plugin.collecting import until

JOBS = 2
server = AgentServer(
    job_executor_type=JobExecutorType.PROCESS,
    num_idle_processes=JOBS,
    initialize_process_timeout=120.0,
    load_fnc=csm.EngineLoad(),
    port=0,
)


@server.rtc_session()
async def speak(job: JobContext) -> None:
    folder = Path(os.environ["SHARED_FOLDER"])
    tts = csm.TTS()
    before = psutil.Process().memory_info().rss
    await tts.ready()
    patient = APIConnectOptions(timeout=60.0)
    async with tts.synthesize("Hello there, this is one of two jobs.", conn_options=patient) as stream:
        frame = await stream.collect()
    seen = {
        "pid": os.getpid(),
        "model": tts.model,
        "seconds": frame.duration,
        "mib_before": before >> 20,
        "mib": psutil.Process().memory_info().rss >> 20,
        "torch": "torch" in sys.modules,
    }
    (folder / f"{os.getpid()}.json").write_text(json.dumps(seen))
    await until((folder / "done").exists, timeout_s=500)
    await tts.aclose()
    job.shutdown("done")


async def main(folder: Path) -> None:
    begun = asyncio.get_running_loop().create_task(server.run(devmode=True, unregistered=True))
    started = asyncio.Event()
    server.once("worker_started", started.set)
    await started.wait()
    for number in range(JOBS):
        await server.simulate_job(f"room-{number}", agent_identity=f"agent-{number}", fake_job=True)
    await until((folder / "done").exists, timeout_s=500)
    await server.aclose()
    begun.cancel()


if __name__ == "__main__":
    os.environ["SHARED_FOLDER"] = sys.argv[1]
    asyncio.run(main(Path(sys.argv[1])))
