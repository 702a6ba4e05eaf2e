"""`csm models`: which checkpoints there are, and fetching and removing them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from csm_plugin.cli import check
from csm_plugin.cli.options import add_part_options
from csm_plugin.errors import CheckpointNotFound, SettingsError

if TYPE_CHECKING:
    from csm_plugin.cli.cached_models import CachedModel
    from csm_plugin.model.known import KnownCheckpoint

KINDS = ("model", "codec", "tokenizer", "adapter")
_UNKNOWN = "—"


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `models` to `csm`'s subcommands."""
    parser = commands.add_parser(
        "models",
        parents=[shared],
        help="list, fetch and remove checkpoints",
        description="List the checkpoints that are here and those that are known, check one, fetch one from the hub "
        "into the cache that every program shares, or remove one from it.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_list, check.add_parser, _add_fetch, _add_remove):
        add(actions, shared)


def _add_list(actions: Any, shared: argparse.ArgumentParser) -> None:
    parser = actions.add_parser(
        "list", parents=[shared], help="what is bundled, what is cached, and what else is known"
    )
    parser.add_argument("--json", action="store_true", help="as JSON on standard output")
    parser.set_defaults(run=_list)


def _add_fetch(actions: Any, shared: argparse.ArgumentParser) -> None:
    parser = actions.add_parser(
        "fetch",
        parents=[shared],
        help="fetch what is needed of a model, and print its folder",
        description="Fetch what is needed of MODEL, and the codec and tokenizer that it does not bring, into the hub's "
        "cache and print its folder. Run it again after it "
        "broke off: it goes on where it stopped. The token is that of HF_TOKEN, else the stored login.",
    )
    parser.add_argument("model", metavar="MODEL", help="hub id, with a branch, tag or commit after @ if wanted")
    parser.add_argument("--kind", choices=KINDS, default="model", help="what it is wanted as (default: %(default)s)")
    add_part_options(parser)
    parser.set_defaults(run=_fetch)


def _add_remove(actions: Any, shared: argparse.ArgumentParser) -> None:
    parser = actions.add_parser(
        "remove",
        parents=[shared],
        help="remove a model from the hub's cache",
        description="Remove MODEL, or one revision of it, from the hub's cache. Other programs share that cache.",
    )
    parser.add_argument("model", metavar="MODEL", help="hub id; with @REVISION only that revision")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=_remove)


def _fetch(options: argparse.Namespace, console: Console) -> int:
    """Fetch a model and print its folder; return 0.

    Raises:
        CheckpointError: it cannot be had; the message says what to do.
    """
    from csm_plugin.model.checkpoint import find_checkpoint

    folder = find_checkpoint(options.model, kind=options.kind)
    if options.kind == "model":
        _complete(folder, options)
    sys.stdout.write(f"{folder}\n")
    return 0


def _complete(folder: Path, options: argparse.Namespace) -> None:
    """Fetch what a model does not bring."""
    from csm_plugin.model.checkpoint import find_checkpoint
    from csm_plugin.model.hub.wanted import read_mapping_in
    from csm_plugin.model.known import CODEC, TOKENIZER

    path = folder / "config.json"
    config = read_mapping_in(path) if path.is_file() else {}
    if options.codec or "codec_config" not in config:
        find_checkpoint(options.codec or CODEC, kind="codec")
    if options.tokenizer or not (folder / "tokenizer.json").is_file():
        find_checkpoint(options.tokenizer or TOKENIZER, kind="tokenizer")
    if options.adapter:
        find_checkpoint(options.adapter, kind="adapter")


def _remove(options: argparse.Namespace, console: Console) -> int:
    """Remove a model from the cache; return 0, or 1 if the answer was no.

    Raises:
        CheckpointNotFound: it is not in the cache.
        SettingsError: it is bundled or a folder, or there is nobody to ask.
    """
    from csm_plugin.cli.cached_models import removal
    from csm_plugin.model.checkpoint import bundled_models, hub_id_and_revision, local_place
    from csm_plugin.model.hub.sizes import readable

    if options.model in bundled_models():
        raise SettingsError(f"{options.model} is a part of csm-plugin; it goes when csm-plugin is uninstalled")
    place = local_place(options.model)
    if place is not None and os.path.isdir(place):
        raise SettingsError(f"{options.model} is a folder of yours, not in the hub's cache; delete it yourself")
    named = hub_id_and_revision(options.model)
    if named is None:
        raise CheckpointNotFound(f"there is no model {options.model!r}; pass a hub id such as 'sesame/csm-1b'")
    planned = removal(named[0], named[1] if "@" in options.model else None)
    question = f"Remove {options.model} ({readable(planned.bytes)}) from the hub's cache, which other programs share?"
    if not options.yes and not _agreed(question, console):
        return 1
    planned.execute()
    console.print(Text(f"removed {options.model}: {readable(planned.bytes)} are free again"), soft_wrap=True)
    return 0


def _agreed(question: str, console: Console) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise SettingsError("there is nobody to ask before it is removed; give --yes")
    console.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _list(options: argparse.Namespace, console: Console) -> int:
    """Print what there is; return 0."""
    from csm_plugin.cli.cached_models import cached_models
    from csm_plugin.model.checkpoint import BUNDLED, bundled_models
    from csm_plugin.model.known import KNOWN

    bundled = {name: BUNDLED / name for name in bundled_models()}
    cached = cached_models()
    here = {one.hub_id for one in cached}
    known = [one for one in KNOWN if one.hub_id not in here]
    if options.json:
        report = {
            "bundled": [{"name": name, "bytes": _bytes(at), "folder": str(at)} for name, at in bundled.items()],
            "cached": [dataclasses.asdict(one) | {"folder": str(one.folder)} for one in cached],
            "known": [dataclasses.asdict(one) for one in known],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 0
    output = Console()
    output.print(_table_of_those_here(bundled, cached))
    if known:
        output.print(_table_of_those_known(known))
    return 0


def _table_of_those_here(bundled: dict[str, Path], cached: list[CachedModel]) -> Table:
    from csm_plugin.model.hub.sizes import readable

    table = Table(title="here", title_justify="left")
    for name in ("model", "size", "revisions", "state"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for name, folder in bundled.items():
        table.add_row(Text(name), readable(_bytes(folder)), "", "bundled")
    for one in cached:
        state = "complete" if not one.missing else f"unfinished: {', '.join(one.missing)} missing"
        name = one.hub_id if one.kind == "model" else f"{one.hub_id} ({one.kind})"
        table.add_row(Text(name), readable(one.bytes), Text(", ".join(one.revisions)), Text(state))
    return table


def _table_of_those_known(known: list[KnownCheckpoint]) -> Table:
    from csm_plugin.model.hub.sizes import readable

    table = Table(title="known, not here: csm models fetch MODEL", title_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence")
    table.add_column("what it needs, how it was tested, what is special", overflow="fold")
    for one in known:
        size = _UNKNOWN if one.bytes is None else readable(one.bytes)
        table.add_row(Text(one.hub_id), size, one.licence or _UNKNOWN, Text(_remarks(one)))
    return table


def _remarks(one: KnownCheckpoint) -> str:
    needs = [
        "its terms accepted and HF_TOKEN" if one.gated else "",
        one.codec or "",
        f"the tokenizer of {one.tokenizer}" if one.tokenizer else "",
    ]
    remarks = [
        f"needs {', '.join(filter(None, needs))}" if any(needs) else "",
        f"tested with {one.tested}" if one.tested else "not tested yet",
        f"open copy of {one.copy_of}" if one.copy_of else "",
        one.note,
    ]
    return "; ".join(remark for remark in remarks if remark)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
