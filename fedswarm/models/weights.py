"""A module's weights as one flat tensor: loading a model is one copy, an update one subtraction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fedswarm.errors import ModelError
from fedswarm.models.layout import Layout, TensorSpec, Vector


def layout_of(module: nn.Module) -> Layout:
    """Trainable parameters in order, then frozen ones, then float buffers; integer buffers are no weights (D18).

    Raises :class:`ModelError` for a weight that is not float32.
    """
    return Layout(tuple(TensorSpec(name, tuple(t.shape), t.requires_grad) for name, t in _weights(module)))


def read_weights(module: nn.Module) -> Vector:
    """A copy of the module's weights as a flat vector."""
    vector = np.empty(layout_of(module).size, dtype=np.float32)
    start = 0
    for _, tensor in _weights(module):
        vector[start : start + tensor.numel()] = tensor.detach().reshape(-1).numpy()
        start += tensor.numel()
    return vector


class FlatWeights:
    """Moves a module's weights into one flat tensor, of which they become views.

    ``vector`` is float32 ``(size,)`` in the order of ``layout``; its first ``layout.trainable_size`` elements are what
    the optimizer trains. Whoever writes to ``vector`` changes the module and the other way round, as long as the module
    updates its tensors in place (all of torch's do).
    """

    def __init__(self, module: nn.Module) -> None:
        self.layout = layout_of(module)
        # A clone, because torch aligns its own memory: how NumPy's happens to lie would decide a sum's last bits.
        self.vector = torch.from_numpy(read_weights(module)).clone()
        self.parameters: list[nn.Parameter] = []
        for tensor, view in zip((t for _, t in _weights(module)), self.views(self.vector), strict=True):
            tensor.data = view
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
                self.parameters.append(tensor)

    @property
    def trainable(self) -> Tensor:
        """The part of ``vector`` that the optimizer trains."""
        return self.vector[: self.layout.trainable_size]

    def views(self, vector: Tensor) -> list[Tensor]:
        """The tensors of the layout as views of ``vector``, which may end after the trainable ones."""
        return [vector[where].view(spec.shape) for spec, where in self.layout.slices() if where.stop <= len(vector)]


def _weights(module: nn.Module) -> list[tuple[str, Tensor]]:
    parameters = list(module.named_parameters())
    kept = module.state_dict(keep_vars=True)
    # Buffers that are not in the state dict are constants; those that are not floats count something.
    buffers = [(name, t) for name, t in module.named_buffers() if name in kept and t.is_floating_point()]
    ordered: list[tuple[str, Tensor]] = [(name, p) for name, p in parameters if p.requires_grad]
    ordered += [(name, p) for name, p in parameters if not p.requires_grad]
    ordered += buffers
    for name, tensor in ordered:
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ModelError(
                f"weight {name!r} is {tensor.dtype} on {tensor.device}: weights must be float32 on the CPU"
            )
    return ordered
