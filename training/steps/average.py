"""A slowly moving average of weights: what is exported, steadier than the weights of any one step."""

import torch
from torch import Tensor, nn

_LONGEST = 0.998


class Average(nn.Module):
    """Average of a model's floating-point parameters; its own state can be saved like any module's."""

    def __init__(self, model: nn.Module, skip: str | None = None) -> None:
        """
        Args:
            model: whose weights are followed.
            skip: parameters whose names start so are left out.
        """
        super().__init__()
        self._skip = skip
        self.register_buffer("steps", torch.zeros((), dtype=torch.float32))
        self._names = {}
        for name, value in self._followed(model):
            self._names[name] = name.replace(".", "/")
            self.register_buffer(self._names[name], value.detach().clone())

    def _followed(self, model: nn.Module) -> list[tuple[str, Tensor]]:
        return [
            (name, value)
            for name, value in model.named_parameters()
            if self._skip is None or not name.startswith(self._skip)
        ]

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Move towards the model's weights; quickly at first, while they still change a lot."""
        steps = self.get_buffer("steps").add_(1)
        keep = min(_LONGEST, 1.0 - 10.0 / (10.0 + float(steps)))
        for name, value in self._followed(model):
            self.get_buffer(self._names[name]).lerp_(value, 1.0 - keep)

    @torch.no_grad()
    def put_into(self, model: nn.Module) -> None:
        """Give a model the averaged weights."""
        for name, value in self._followed(model):
            value.copy_(self.get_buffer(self._names[name]))
