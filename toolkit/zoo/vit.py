"""Vision transformer: classifies an image as a sequence of patches.

    x = [class token; W_p patch_1 + b_p; ...; W_p patch_n + b_p] + positions  [batch, n + 1, width]
    x = x + attention(norm(x)), then
    x = x + W_2 gelu(W_1 norm(x) + b_1) + b_2                                 in each layer
    p = softmax(W norm(x)[:, 0] + b)                                          [batch, classes]

A patch is patch x patch pixels, so n = (size / patch)^2.

Dosovitskiy et al.: An image is worth 16 x 16 words: Transformers for image recognition at scale,
2020.
"""

import torch
from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.signature import Signature

_EPSILON = 1e-6  # of every LayerNorm, as in the authors' code


class VisionTransformer(nn.Module):
    """Images [batch, channels, size, size] in 0..1 to class probabilities [batch, classes]."""

    def __init__(
        self,
        channels: int,
        size: int,
        patch: int,
        classes: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
    ) -> None:
        super().__init__()
        # A convolution that never overlaps itself: one matrix product for each patch.
        self.patches = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, (size // patch) ** 2 + 1, width))
        nn.init.normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(0.1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                hidden,
                dropout=0.1,
                activation="gelu",
                layer_norm_eps=_EPSILON,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.head = nn.Linear(width, classes)

    def logits(self, pixels: Tensor) -> Tensor:
        """What cross-entropy wants while training: the probabilities before the softmax."""
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        token = self.token.expand(pixels.shape[0], -1, -1)
        x: Tensor = self.dropout(torch.cat([token, patches], dim=1) + self.positions)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(self.norm(x[:, 0]))
        return logits

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"probabilities": self.logits(pixels).softmax(dim=-1)}


def build(
    channels: int = 3,
    size: int = 224,
    patch: int = 16,
    classes: int = 1000,
    width: int = 768,
    layers: int = 12,
    heads: int = 12,
    hidden: int = 3072,
) -> tuple[VisionTransformer, Signature]:
    """ViT-B/16.

    `size` is the height and width of the images, a multiple of `patch`, that of a patch; `width`
    that of the hidden states, a multiple of `heads`; `hidden` that of the feed-forward layers.
    """
    if size % patch:
        raise InputError(
            f"images of {size} pixels cannot be cut into patches of {patch}",
            "size is a multiple of patch",
        )
    signature = Signature.parse(
        f"""
        pixels: float32[batch, {channels}, {size}, {size}] in 0..1
        where batch = 1..64
        -> probabilities: float32[batch, {classes}]
        """
    )
    model = VisionTransformer(channels, size, patch, classes, width, layers, heads, hidden)
    return model, signature
