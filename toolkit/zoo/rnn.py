"""Elman network, an output at every step: for sequences of different lengths.

    h_t = f(W_hh h_t-1 + W_xh x_t + b_h)        [batch, hidden], f = tanh or relu
    y_t = W_hy h_t + b_y                        [batch, outputs]

After `lengths` steps of a row h is 0, so y is b_y there. A length above `time` counts as `time`.

Elman: Finding structure in time, 1990.
"""

from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.signature import Signature
from toolkit.zoo._recurrent import over_rows, signature


class RNN(nn.Module):
    """Sequences [batch, time, features] and their lengths [batch] to y [batch, time, outputs]."""

    def __init__(self, features: int, hidden: int, outputs: int, nonlinearity: str) -> None:
        super().__init__()
        self.layer = nn.RNN(features, hidden, nonlinearity=nonlinearity, batch_first=True)
        self.dense = nn.Linear(hidden, outputs)

    def logits(self, x: Tensor, lengths: Tensor) -> Tensor:
        """What cross-entropy wants where y are classes: y itself."""
        states, _ = over_rows(self.layer, x, lengths)
        y: Tensor = self.dense(states)
        return y

    def forward(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return {"y": self.logits(x, lengths)}


def build(
    features: int = 16,
    hidden: int = 64,
    outputs: int = 10,
    steps: int = 64,
    nonlinearity: str = "tanh",
) -> tuple[RNN, Signature]:
    """`steps` is the longest sequence; `nonlinearity` is tanh or relu."""
    if nonlinearity not in ("tanh", "relu"):
        raise InputError(f"there is no nonlinearity '{nonlinearity}'", "tanh or relu")
    contract = signature(features, steps, f"y: float32[batch, time, {outputs}]")
    return RNN(features, hidden, outputs, nonlinearity), contract
