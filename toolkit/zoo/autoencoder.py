"""Autoencoder: an image to a short code and back again, dense or convolutional.

    code = W_2 relu(W_1 x + b_1) + b_2                       [batch, code]
    reconstruction = sigmoid(W_4 relu(W_3 code + b_3) + b_4) [batch, channels, size, size]

The convolutional one halves the image twice instead of W_1, and doubles it twice instead of W_4.

Hinton, Salakhutdinov: Reducing the dimensionality of data with neural networks, 2006.
"""

from torch import Tensor, nn
from torch.nn import functional

from toolkit.errors import InputError
from toolkit.signature import Signature


class Autoencoder(nn.Module):
    """Images [batch, channels, size, size] in 0..1 to their codes and reconstructions.

    `encoder` is a model of its own: images to codes [batch, code], linear as in the paper.
    """

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        code = self.encoder(pixels)
        return {"reconstruction": self.decoder(code), "code": code}

    def loss(self, pixels: Tensor) -> Tensor:
        """Mean squared error of the reconstruction."""
        return functional.mse_loss(self(pixels)["reconstruction"], pixels)


def _dense(channels: int, size: int, hidden: int, code: int) -> Autoencoder:
    pixels = channels * size**2
    return Autoencoder(
        nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, code)),
        nn.Sequential(
            nn.Linear(code, hidden),
            nn.ReLU(),
            nn.Linear(hidden, pixels),
            nn.Sigmoid(),
            nn.Unflatten(1, (channels, size, size)),
        ),
    )


def _convolutional(channels: int, size: int, filters: int, code: int) -> Autoencoder:
    if size % 4:
        raise InputError(f"images of {size} pixels cannot be halved twice", "a multiple of 4")
    small = (2 * filters, size // 4, size // 4)
    values = 2 * filters * (size // 4) ** 2
    return Autoencoder(
        nn.Sequential(
            nn.Conv2d(channels, filters, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(filters, 2 * filters, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(values, code),
        ),
        nn.Sequential(
            nn.Linear(code, values),
            nn.ReLU(),
            nn.Unflatten(1, small),
            nn.ConvTranspose2d(2 * filters, filters, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, channels, kernel_size=4, stride=2, padding=1),
            nn.Sigmoid(),
        ),
    )


def build(
    channels: int = 1,
    size: int = 28,
    hidden: int = 128,
    code: int = 64,
    convolutional: bool = False,
    filters: int = 16,
) -> tuple[Autoencoder, Signature]:
    """784-128-64-128-784, on images of 28 x 28.

    `size` is the height and width of the images, for the convolutional one a multiple of 4;
    `hidden` the width between image and code where dense, `filters` the channels of the first
    convolution where convolutional; `code` the length of the code.
    """
    signature = Signature.parse(
        f"""
        pixels: float32[batch, {channels}, {size}, {size}] in 0..1
        where batch = 1..64
        -> reconstruction: float32[batch, {channels}, {size}, {size}]
        -> code: float32[batch, {code}]
        """
    )
    if convolutional:
        return _convolutional(channels, size, filters, code), signature
    return _dense(channels, size, hidden, code), signature
