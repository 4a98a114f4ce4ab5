"""Fully connected network (MLP): layers of neurons, trained by back-propagation.

    a_0 = x;  z_n = W_n a_(n-1) + b_n;  a_n = f(z_n)          [batch, width of layer n]
    scores = f(z) of the last layer                           [batch, classes]

The classical network has f = sigmoid everywhere and the squared error E = |scores - target|^2 / 2.
Plain gradient descent goes forward, takes the error back through the layers, and updates:

    d_last = (a_last - target) f'(z_last);  d_n = W_(n+1)^T d_(n+1) f'(z_n)
    W_n <- W_n - rate d_n a_(n-1)^T;  b_n <- b_n - rate d_n

The modern variant has f = relu, softmax in the last layer, and cross-entropy.

Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, 1986.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from toolkit.errors import InputError
from toolkit.signature import Signature


class MLP(nn.Module):
    """Numbers [batch, sizes[0]] in 0..1 to one score a class [batch, sizes[-1]] in 0..1."""

    def __init__(self, sizes: tuple[int, ...], activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def logits(self, x: Tensor) -> Tensor:
        """z of the last layer."""
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu() if self.activation == "relu" else layer(x).sigmoid()
        z: Tensor = last(x)
        return z

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = self.logits(x)
        return {"scores": z.softmax(dim=-1) if self.activation == "relu" else z.sigmoid()}

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """What training makes small, as a mean over the batch; labels are int64[batch].

        sigmoid: half the squared distance of the scores to the one-hot targets. relu:
        cross-entropy.
        """
        if self.activation == "relu":
            return functional.cross_entropy(self.logits(x), labels)
        z = self.logits(x)
        target = functional.one_hot(labels, z.shape[-1]).to(z.dtype)
        return 0.5 * (z.sigmoid() - target).square().sum(dim=-1).mean()


def build(layers: str = "784-30-10", activation: str = "sigmoid") -> tuple[MLP, Signature]:
    """`layers` are the widths from inputs to classes; `activation` is sigmoid or relu."""
    sizes = tuple(int(size) for size in layers.split("-") if size.isdecimal() and int(size))
    if len(sizes) < 2 or len(sizes) < len(layers.split("-")):
        raise InputError(f"'{layers}' are no widths of layers", "write layers=784-30-10")
    if activation not in ("sigmoid", "relu"):
        raise InputError(f"there is no activation '{activation}' here", "sigmoid or relu")
    signature = Signature.parse(
        f"""
        x: float32[batch, {sizes[0]}] in 0..1
        where batch = 1..64
        -> scores: float32[batch, {sizes[-1]}]
        """
    )
    return MLP(sizes, activation), signature
