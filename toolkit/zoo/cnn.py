"""Convolutional classifier: one convolution, pooling, one dense layer, softmax.

    h = max_pool_2(relu(W_c * x + b_c))      [batch, filters, size / 2, size / 2]
    p = softmax(W_d flatten(h) + b_d)        [batch, classes]

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998.
"""

from torch import Tensor, nn

from toolkit.signature import Signature


class CNN(nn.Module):
    """Images [batch, channels, size, size] in 0..1 to class probabilities [batch, classes]."""

    def __init__(self, channels: int, size: int, classes: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(filters * (size // 2) ** 2, classes)

    def logits(self, pixels: Tensor) -> Tensor:
        """What cross-entropy wants while training: the probabilities before the softmax."""
        hidden: Tensor = self.pool(self.conv(pixels).relu())
        logits: Tensor = self.dense(hidden.flatten(1))
        return logits

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"probabilities": self.logits(pixels).softmax(dim=-1)}


def build(
    channels: int = 1, size: int = 28, classes: int = 10, filters: int = 32
) -> tuple[CNN, Signature]:
    """`size` is the height and width of the images, an even number."""
    signature = Signature.parse(
        f"""
        pixels: float32[batch, {channels}, {size}, {size}] in 0..1
        where batch = 1..64
        -> probabilities: float32[batch, {classes}]
        """
    )
    return CNN(channels, size, classes, filters), signature
