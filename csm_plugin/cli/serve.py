"""`csm serve`: the engine over HTTP and WebSocket."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from rich.console import Console

from csm_plugin.cli.options import check_model
from csm_plugin.errors import SettingsError
from csm_plugin.extras import missing_modules, require
from csm_plugin.settings import check_device_name

if TYPE_CHECKING:
    from csm_plugin.conversation import VoicePrompt
    from csm_plugin.server.shared.service import Judge

LOG_FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level} {message} {extra}"
OPTIONS = ("model", "device", "host", "port")
SECRETS = ("api_keys", "watermark_key")
"""Settings that a command line, which others can list, must not have."""


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `serve` to `csm`'s subcommands."""
    parser = commands.add_parser(
        "serve",
        parents=[shared],
        help="serve the engine over HTTP and WebSocket",
        description="Serve the engine: OpenAI's speech endpoint, conversations over a WebSocket, health and metrics. "
        "Keys come from CSM_API_KEYS. Every setting of docs/server.md can be given as --set NAME=VALUE, as CSM_NAME "
        "in the environment, or in a YAML file.",
    )
    parser.add_argument("--model", help="bundled name, folder, or Hugging Face id (default: $CSM_MODEL, else csm-tiny)")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1, … (default: auto)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8000)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting")
    parser.add_argument("--print-config", action="store_true", help="print the settings as YAML, and end")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Serve until told to end; return 0, 1 if the engine could not be kept, or 130 after Ctrl-C.

    Raises:
        MissingExtraError: the extra is not installed.
        SettingsError: a setting is wrong, or the address cannot be listened on.
        CheckpointError: the model, which is none of the hub's, cannot be found; one of the hub's is fetched later.
    """
    require("server", "csm serve")
    from csm_plugin.model.checkpoint import is_on_hub
    from csm_plugin.server.shared.settings import print_settings, read_settings

    given = {name: getattr(options, name) for name in OPTIONS} | dict(map(_setting, options.set))
    settings = read_settings(options.config, **given)
    if options.print_config:
        sys.stdout.write(print_settings(settings))
        return 0
    check_device_name(settings.device)
    if not is_on_hub(settings.model):
        check_model(settings.model)
    from csm_plugin.server.serving import serve

    logger.remove()
    level = "DEBUG" if options.debug else settings.log_level
    logger.add(sys.stderr, level=level, format=LOG_FORMAT, backtrace=False, diagnose=False)
    return serve(settings, judge=_judge())


def _judge() -> Judge | None:
    """What compares the texts of uploaded voices with what a recogniser hears; None where there is no recogniser."""
    if "moonshine_voice" in missing_modules("eval"):
        return None
    from csm_plugin.evaluation.errors import EvaluationError
    from csm_plugin.evaluation.transcript import check_transcript

    def judge(voice: VoicePrompt) -> None:
        try:
            check_transcript(voice.text, voice.pcm)
        except EvaluationError as error:
            logger.warning("an uploaded voice was not compared with its text: {}", error)

    return judge


def _setting(argument: str) -> tuple[str, str]:
    name, given, value = argument.partition("=")
    if not given:
        raise SettingsError(f"--set {name}: write NAME=VALUE")
    if name in SECRETS:
        raise SettingsError(f"--set {name}: everyone on this machine could see it; set CSM_{name.upper()}")
    return name, value
