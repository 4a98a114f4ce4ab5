"""AlexNet: image classifier of five large convolutions and three dense layers.

    11 x 11 convolution, stride 4, relu, normalize, pool    [batch, 96, 27, 27]
    5 x 5 convolution, relu, normalize, pool                [batch, 256, 13, 13]
    3 x 3 convolution, relu, twice                          [batch, 384, 13, 13]
    3 x 3 convolution, relu, pool                           [batch, 256, 6, 6]
    dense, relu, twice                                      [batch, 4096]
    p = softmax(W h + b)                                    [batch, classes]

Pooling takes the largest of 3 x 3 values, every second one. To normalize a channel is to divide it
by what its five neighbours do at the same place: b = a / (2 + 1e-4 sum a^2)^0.75. Sizes are those
of images of 224 x 224. The paper halved the convolutions over two GPUs; here each is whole.

Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks,
2012.
"""

from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.signature import Signature


def _normalization() -> nn.LocalResponseNorm:
    # torch takes the mean over the window where the paper takes the sum.
    return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)


def _left(size: int) -> int:
    """Height and width of the last feature map, of images of that size."""
    size = (size - 7) // 4 + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size


class AlexNet(nn.Module):
    """Images [batch, channels, size, size] in 0..1 to class probabilities [batch, classes]."""

    def __init__(self, channels: int, size: int, classes: int, width: float) -> None:
        super().__init__()
        c1, c2, c3, dense = (max(1, round(width * n)) for n in (96, 256, 384, 4096))
        self.features = nn.Sequential(
            # The paper's images of 224 give its maps of 55 with a border of 2.
            nn.Conv2d(channels, c1, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            _normalization(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(c1, c2, kernel_size=5, padding=2),
            nn.ReLU(),
            _normalization(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(c2, c3, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c3, c3, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c3, c2, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(c2 * _left(size) ** 2, dense),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Linear(dense, classes),
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # With the paper's deviation of 0.01, or torch's, before any training hardly a
                # trace of the image reaches the end.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def logits(self, pixels: Tensor) -> Tensor:
        """What cross-entropy wants while training: the probabilities before the softmax."""
        logits: Tensor = self.classifier(self.features(pixels))
        return logits

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"probabilities": self.logits(pixels).softmax(dim=-1)}


def build(
    channels: int = 3, size: int = 224, classes: int = 1000, width: float = 1.0
) -> tuple[AlexNet, Signature]:
    """`size` is the height and width of the images, at least 63.

    `width` multiplies the channels of the convolutions and the width of the dense layers.
    """
    if _left(size) < 1:
        raise InputError(f"nothing is left of images of {size} pixels", "size is at least 63")
    signature = Signature.parse(
        f"""
        pixels: float32[batch, {channels}, {size}, {size}] in 0..1
        where batch = 1..64
        -> probabilities: float32[batch, {classes}]
        """
    )
    return AlexNet(channels, size, classes, width), signature
