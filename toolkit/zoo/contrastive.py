"""SimCLR: learns what an image shows, without labels, from two altered views of it.

    f_n(x) = relu(norm(W_n * x)), of which f_2 and f_3 halve the image
    h = relu(W mean(f_3(f_2(f_1(view)))) + b)                           [batch, width]
    projection = g / |g|, g = W_b relu(W_a h + b_a) + b_b               [batch, projection]

The mean is over the image. The same network sees both views. The projections are for training
(`nt_xent`); what is kept after it is the encoder. It is small here; the paper's is a ResNet-50.

Chen, Kornblith, Norouzi, Hinton: A simple framework for contrastive learning of visual
representations, 2020.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.signature import Signature


class Encoder(nn.Module):
    """Images [batch, channels, height, width] to features [batch, width]."""

    def __init__(self, channels: int, filters: int, width: int) -> None:
        super().__init__()
        sizes = (channels, filters, 2 * filters, 4 * filters)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    # No bias: the normalization would take it away again.
                    nn.Conv2d(sizes[n], sizes[n + 1], 3, 2 if n else 1, padding=1, bias=False),
                    nn.BatchNorm2d(sizes[n + 1]),
                    nn.ReLU(),
                )
                for n in range(3)
            )
        )
        self.dense = nn.Linear(4 * filters, width)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.dense(self.blocks(pixels).mean(dim=(2, 3))).relu()
        return features


class SimCLR(nn.Module):
    """Two views of images [batch, channels, size, size] to their projections, of length 1."""

    def __init__(self, encoder: Encoder, width: int, projection: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))

    def project(self, pixels: Tensor) -> Tensor:
        """The projections [batch, projection] of one view."""
        return functional.normalize(self.head(self.encoder(pixels)), dim=-1)

    def forward(self, view_a: Tensor, view_b: Tensor) -> dict[str, Tensor]:
        return {"projection_a": self.project(view_a), "projection_b": self.project(view_b)}


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.5) -> Tensor:
    """The normalized, temperature-scaled cross entropy of 2 n projections of length 1.

    With z = a and b one after the other [2 n, projection], and j(i) the other view of i:

        loss = mean over i of -log(exp(z_i z_j(i) / t) / sum over k != i of exp(z_i z_k / t))
    """
    z = torch.cat([a, b])
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(a))
    return functional.cross_entropy(similarity, partner)


def build(
    channels: int = 3, size: int = 32, filters: int = 32, width: int = 128, projection: int = 128
) -> tuple[SimCLR, Signature]:
    """`size` is the height and width of the images, `width` the length of the features.

    `filters` are the channels of the first convolution (the others have two and four times as
    many), `projection` is the length of what the loss compares.
    """
    signature = Signature.parse(
        f"""
        view_a: float32[batch, {channels}, {size}, {size}] in 0..1
        view_b: float32[batch, {channels}, {size}, {size}] in 0..1
        where batch = 1..64
        -> projection_a: float32[batch, {projection}]
        -> projection_b: float32[batch, {projection}]
        """
    )
    return SimCLR(Encoder(channels, filters, width), width, projection), signature
