"""The package: its names, its weight, its registration, its choice of an engine, its load."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from livekit.agents import AgentServer, JobExecutorType, Plugin
from livekit.plugins import csm

import csm_plugin
from csm_plugin.errors import SettingsError
from csm_plugin.livekit import TTS, EngineLoad, backends
from csm_plugin.livekit.backends import GivenEngine, RemoteBackend, SharedEngine, SidecarBackend, choose_backend
from tests.scripted_engine import ScriptedEngine


class TestThePackage:
    def test_imports_neither_torch_nor_transformers_and_starts_no_thread(self) -> None:
        code = (
            "import sys, threading; from livekit.plugins import csm; csm.TTS(); "
            "from csm_plugin.client import RemoteEngine; "
            "print({'torch', 'transformers'} & set(sys.modules), threading.active_count())"
        )
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=110)
        assert told.stdout.split() == ["set()", "1"]

    def test_is_a_typed_namespace_package(self) -> None:
        root = Path(csm_plugin.__file__).parents[1] / "livekit"
        assert (root / "plugins" / "csm" / "py.typed").exists()
        assert not (root / "__init__.py").exists() and not (root / "plugins" / "__init__.py").exists()
        assert csm.__version__ == csm_plugin.__version__ and csm.logger.name == "livekit.plugins.csm"

    def test_has_these_names(self) -> None:
        assert sorted(csm.__all__) == [
            "ChunkedStream",
            "Context",
            "EngineLoad",
            "SynthesizeStream",
            "TTS",
            "TTSOptions",
            "__version__",
            "logger",
        ]
        assert csm.TTS is TTS

    def test_is_registered_once(self) -> None:
        (plugin,) = [one for one in Plugin.registered_plugins if one.package == "livekit.plugins.csm"]
        assert (plugin.version, plugin.logger) == (csm_plugin.__version__, csm.logger)

    @pytest.mark.timeout(300)
    def test_answers_livekits_download_command(self) -> None:
        told = subprocess.run(
            [sys.executable, "-m", "livekit.agents", "download-files"],
            capture_output=True,
            text=True,
            timeout=280,
            env={"CSM_MODEL": "nobody/nothing", "HF_HUB_OFFLINE": "1", "PATH": ""},
        )
        assert told.returncode == 1 and "failed downloading files for livekit.plugins.csm" in told.stderr


class TestTheEngine:
    @pytest.fixture(autouse=True)
    def plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CSM_BASE_URL", "CSM_API_KEY", "CSM_MODEL"):
            monkeypatch.delenv(name, raising=False)

    def chosen(self, **given: object) -> backends.Backend:
        return choose_backend(**({"engine": None, "base_url": None, "api_key": None, "model": None} | given))  # type: ignore[arg-type]

    async def test_that_is_passed_comes_first_and_stays_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CSM_BASE_URL", "http://127.0.0.1:1")
        engine = ScriptedEngine()
        backend = self.chosen(engine=engine)
        assert isinstance(backend, GivenEngine) and await backend.engine() is engine
        await backend.aclose()
        assert not engine.closed

    def test_is_behind_the_url_that_the_environment_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CSM_BASE_URL", "http://127.0.0.1:8000")
        assert type(self.chosen()) is RemoteBackend
        monkeypatch.delenv("CSM_BASE_URL")
        assert type(self.chosen(base_url="http://127.0.0.1:8000")) is RemoteBackend

    def test_is_shared_by_the_threads_of_a_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        job = SimpleNamespace(proc=SimpleNamespace(executor_type=JobExecutorType.THREAD))
        monkeypatch.setattr(backends, "get_job_context", lambda required: job)
        assert self.chosen() is self.chosen() is SharedEngine.of("csm-tiny")
        assert self.chosen(model="other") is not self.chosen()

    def test_is_a_server_beside_jobs_that_are_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        job = SimpleNamespace(proc=SimpleNamespace(executor_type=JobExecutorType.PROCESS))
        monkeypatch.setattr(backends, "get_job_context", lambda required: job)
        assert isinstance(self.chosen(), SidecarBackend)
        # while a job's process is prepared there is no job yet
        monkeypatch.setattr(backends, "get_job_context", lambda required: None)
        assert isinstance(self.chosen(), SharedEngine)
        monkeypatch.setattr(backends.multiprocessing, "parent_process", lambda: object())
        assert isinstance(self.chosen(), SidecarBackend)

    def test_is_what_csm_model_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CSM_MODEL", "sesame/csm-1b")
        assert TTS().model == "sesame/csm-1b" and TTS(model="csm-tiny").model == "csm-tiny"

    async def test_is_loaded_once_by_prewarm_and_again_after_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loads: list[str] = []

        class Failing(SharedEngine):
            def make(self) -> ScriptedEngine:
                loads.append(self.model)
                if len(loads) == 1:
                    raise OSError("not yet")
                return ScriptedEngine()

        backend = Failing("tiny")
        with pytest.raises(OSError, match="not yet"):
            await backend.engine()
        first, second = await asyncio.gather(backend.engine(), backend.engine())
        assert first is second and loads == ["tiny", "tiny"]

    async def test_that_is_made_when_nobody_waits_for_it_any_more_is_closed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, may_go_on, closed = threading.Event(), threading.Event(), threading.Event()
        engine = ScriptedEngine()
        monkeypatch.setattr(engine, "close", closed.set)

        def connect(url: str, api_key: str | None) -> ScriptedEngine:
            begun.set()
            may_go_on.wait(60)
            return engine

        monkeypatch.setattr(backends, "connect", connect)
        tts = TTS(base_url="http://127.0.0.1:1")
        tts.prewarm()
        assert begun.wait(60)
        await tts.aclose()
        assert not closed.is_set()
        may_go_on.set()
        assert closed.wait(60)


class TestTheOptions:
    @pytest.mark.parametrize(
        "given",
        [{"speaker": 100}, {"speaker": True}, {"temperature": 3.0}, {"top_k": 0}, {"voice": 5}, {"max_ahead_s": 0}],
        ids=str,
    )
    def test_out_of_range_are_refused_and_nothing_changes(self, given: dict[str, object]) -> None:
        engine = ScriptedEngine()
        with pytest.raises(SettingsError):
            TTS(engine=engine, **given)  # type: ignore[arg-type]
        tts = TTS(engine=engine)
        before = tts.options
        with pytest.raises(SettingsError):
            tts.update_options(**given)  # type: ignore[arg-type]
        assert tts.options is before

    async def test_change_the_next_stream_and_not_a_running_one(self) -> None:
        engine = ScriptedEngine()
        tts = TTS(engine=engine, voice="ann", seed=1)
        running = tts.synthesize("One.")
        tts.update_options(voice="bob", temperature=0.1)
        async with running, tts.synthesize("Two.") as next_one:
            await running.collect()
            await next_one.collect()
        heard = {segment.text: (segment.voice, segment.sampling) for segment in engine.segments}
        assert heard["One."][0] == "ann" and heard["One."][1].temperature is None
        assert heard["Two."][0] == "bob" and (heard["Two."][1].temperature, heard["Two."][1].seed) == (0.1, 1)


class TestTheLoad:
    def test_is_the_share_of_rows_that_speak(self) -> None:
        engine = ScriptedEngine(rows=4)
        load = EngineLoad(engine)
        assert load() == 0.0
        talk = engine.conversation()
        talk.speak("One.")
        assert load() == 0.25

    def test_is_full_with_a_queue_and_without_an_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = ScriptedEngine()
        monkeypatch.setattr(engine, "stats", lambda: SimpleNamespace(live_rows=1, free_rows=3, queued=1))
        assert EngineLoad(engine)() == 1.0
        monkeypatch.setattr(engine, "is_connected", False, raising=False)
        assert EngineLoad(engine)() == 1.0
        monkeypatch.setattr(backends, "connect", _refuse)
        assert EngineLoad(base_url="http://127.0.0.1:1")() == 1.0

    def test_is_of_the_shared_server_where_jobs_are_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CSM_BASE_URL", raising=False)
        assert isinstance(EngineLoad()._choose(JobExecutorType.PROCESS), SidecarBackend)
        assert isinstance(EngineLoad()._choose(JobExecutorType.THREAD), SharedEngine)
        assert AgentServer(job_executor_type=JobExecutorType.THREAD)._job_executor_type is JobExecutorType.THREAD


def _refuse(url: str, api_key: str | None) -> ScriptedEngine:
    raise ConnectionRefusedError
