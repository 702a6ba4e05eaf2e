"""A trainer's whole state in one safetensors file, so that a run goes on as if it had not been interrupted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from training import files
from training.errors import CorruptFile

_OPTIMISER = "optimiser"


def save(
    path: Path, modules: Mapping[str, nn.Module], optimisers: Sequence[Optimizer], about: Mapping[str, Any]
) -> None:
    """Write weights, optimiser moments and a note (the step, the settings), atomically.

    Raises:
        TrainingError: the disk is full; the last checkpoint is still whole.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        tensors.update({f"{prefix}.{name}": value.clone() for name, value in module.state_dict().items()})
    for number, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            tensors.update({f"{_OPTIMISER}.{number}.{index}.{key}": value for key, value in state.items()})
    files.save_tensors(path, tensors, about)


def load(path: Path, modules: Mapping[str, nn.Module], optimisers: Sequence[Optimizer], made_by: str) -> dict[str, Any]:
    """Read what `save` wrote into modules and optimisers.

    Returns:
        The note; `absent` in it names the modules that a shrunken file does not hold. They stay as they are.

    Raises:
        MissingInput: the file is not there.
        CorruptFile: it is damaged, or was made for other sizes.
    """
    tensors, about = files.load_tensors(path, made_by)
    about["absent"] = []
    moments: dict[int, dict[int, dict[str, Tensor]]] = {}
    for name in [name for name in tensors if name.startswith(f"{_OPTIMISER}.")]:
        _, number, index, key = name.split(".")
        moments.setdefault(int(number), {}).setdefault(int(index), {})[key] = tensors.pop(name)
    try:
        for prefix, module in modules.items():
            own = {
                name.removeprefix(f"{prefix}."): value
                for name, value in tensors.items()
                if name.startswith(f"{prefix}.")
            }
            if own:
                module.load_state_dict(own)
            else:
                about["absent"].append(prefix)
        for place, optimiser in enumerate(optimisers):
            if place in moments:
                groups = optimiser.state_dict()["param_groups"]
                optimiser.load_state_dict({"state": moments[place], "param_groups": groups})
    except (RuntimeError, ValueError) as error:
        raise CorruptFile(
            f"{path} does not fit the model: it was made with other sizes. Move it away to start anew. ({error})"
        ) from error
    return about


def shrink(source: Path, target: Path, made_by: str, without: tuple[str, ...] = ()) -> None:
    """Write a state small enough to be kept under version control: float16, and no optimiser.

    A run goes on from it as from any state, though not bit for bit: the optimiser's moments begin anew.

    Args:
        source: a state.
        target: the small one.
        made_by: the stage that writes states of this kind.
        without: modules to leave out.

    Raises:
        MissingInput: there is no such state.
        CorruptFile: it is damaged.
    """
    tensors, about = files.load_tensors(source, made_by)
    left_out = tuple(f"{name}." for name in (*without, _OPTIMISER))
    kept = {name: value for name, value in tensors.items() if not name.startswith(left_out)}
    halved = {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}
    files.save_tensors(target, halved, about)
