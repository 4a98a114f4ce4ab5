"""Residual network (ResNet): a deep image classifier whose blocks add to their input.

    block(x) = relu(f(x) + shortcut(x)); shortcut is x itself, or norm(W * x) where shapes change
    f, basic:       3 x 3 convolution, norm, relu, 3 x 3 convolution, norm
    f, bottleneck:  1 x 1, norm, relu, 3 x 3, norm, relu, 1 x 1 to four times the channels, norm
    p = softmax(W mean(last block) + b), the mean over the image   [batch, classes]

Before the blocks, a 7 x 7 convolution and a pooling, each of which halves the image; then four
stages of blocks, all but the first of which halve it again and double the channels. The names of
the parameters are those of torchvision.

He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015.
"""

from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.signature import Signature

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks in each stage; up to 34 layers basic ones, bottlenecks above."""


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # No bias: the normalization that follows would take it away again.
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Basic(nn.Module):
    """[batch, inputs, height, width] to [batch, width of the block, height / stride, ...]."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x) if self.downsample else x
        x = self.relu(self.bn1(self.conv1(x)))
        found: Tensor = self.relu(self.bn2(self.conv2(x)) + shortcut)
        return found


class Bottleneck(nn.Module):
    """[batch, inputs, height, width] to [batch, 4 x width of the block, height / stride, ...]."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        # The paper has the stride in conv1; published weights are of networks that have it here.
        self.conv2 = _convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x) if self.downsample else x
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        found: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return found


class ResNet(nn.Module):
    """Images [batch, channels, height, width] in 0..1 to class probabilities [batch, classes]."""

    def __init__(self, depth: int, channels: int, classes: int, width: int) -> None:
        super().__init__()
        block = Basic if depth < 50 else Bottleneck
        self.conv1 = _convolution(channels, width, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages, inputs = [], width
        for stage, blocks in enumerate(_BLOCKS[depth]):
            wide, made = width * 2**stage, []
            for n in range(blocks):
                made.append(block(inputs, wide, stride=2 if stage and not n else 1))
                inputs = wide * block.expansion
            stages.append(nn.Sequential(*made))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(inputs, classes)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        blocks = [m for m in self.modules() if isinstance(m, (Basic, Bottleneck))]
        for block in blocks:
            last = block.bn2 if isinstance(block, Basic) else block.bn3
            # Before any training a normalization changes nothing in eval mode, and each block
            # would double the variance: of 50 blocks, the softmax would be 0 and 1 only.
            nn.init.constant_(last.weight, len(blocks) ** -0.5)

    def logits(self, pixels: Tensor) -> Tensor:
        """What cross-entropy wants while training: the probabilities before the softmax."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"probabilities": self.logits(pixels).softmax(dim=-1)}


def build(
    depth: int = 50,
    channels: int = 3,
    classes: int = 1000,
    width: int = 64,
    smallest: int = 64,
    largest: int = 256,
) -> tuple[ResNet, Signature]:
    """`depth` is the number of layers with weights: 18, 34, 50, 101 or 152.

    `width` are the channels of the first stage, the last has eight times as many; `smallest` and
    `largest` are the ends of what height and width of an image may be, each on its own. Any size
    will do, but a range should begin above 32: up to there one pixel is left of the image in the
    end, above it several, and torch.export makes two programs of that.
    """
    if depth not in _BLOCKS:
        raise InputError(
            f"there is no ResNet of {depth} layers", "one of " + ", ".join(map(str, _BLOCKS))
        )
    signature = Signature.parse(
        f"""
        pixels: float32[batch, {channels}, height, width] in 0..1
        where batch = 1..64, height = {smallest}..{largest}, width = {smallest}..{largest}
        -> probabilities: float32[batch, {classes}]
        """
    )
    return ResNet(depth, channels, classes, width), signature
