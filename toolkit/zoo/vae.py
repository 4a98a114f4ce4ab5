"""Variational autoencoder (VAE): images to distributions of codes, codes to new images.

    h = tanh(W_1 x + b_1); mean = W_2 h + b_2; log_variance = W_3 h + b_3    [batch, latent]
    z = mean + exp(log_variance / 2) noise,  noise ~ N(0, 1)                 [batch, latent]
    reconstruction = sigmoid(W_5 tanh(W_4 z + b_4) + b_5)     [batch, channels, size, size]

The noise is an input: with it the network is a function, which can be compared. Zeros give the
most likely reconstruction.

Kingma, Welling: Auto-encoding variational Bayes, 2013.
"""

from torch import Tensor, nn
from torch.nn import functional

from toolkit.signature import Signature


class VAE(nn.Module):
    """Images [batch, channels, size, size] in 0..1 and noise to reconstructions of their kind."""

    def __init__(self, channels: int, size: int, hidden: int, latent: int) -> None:
        super().__init__()
        pixels = channels * size**2
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.Tanh())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.Tanh(),
            nn.Linear(hidden, pixels),
            nn.Unflatten(1, (channels, size, size)),
        )

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the codes, each [batch, latent]."""
        hidden = self.hidden(pixels)
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Codes [batch, latent], of an image or drawn from N(0, 1), to images."""
        pixels: Tensor = self.decoder(z)
        return pixels.sigmoid()

    def forward(self, pixels: Tensor, noise: Tensor) -> dict[str, Tensor]:
        mean, log_variance = self.encode(pixels)
        reconstruction = self.decode(mean + (log_variance / 2).exp() * noise)
        return {"reconstruction": reconstruction, "mean": mean, "log_variance": log_variance}

    def loss(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """The negative evidence lower bound, a mean over the batch, with r the reconstruction.

        -ELBO = -sum(x log r + (1 - x) log(1 - r)) - sum(1 + log_variance - mean^2 - variance) / 2
        """
        mean, log_variance = self.encode(pixels)
        drawn = self.decoder(mean + (log_variance / 2).exp() * noise)  # logits: log 0 is finite
        error = functional.binary_cross_entropy_with_logits(drawn, pixels, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (error + divergence) / len(pixels)


def build(
    channels: int = 1, size: int = 28, hidden: int = 500, latent: int = 20
) -> tuple[VAE, Signature]:
    """`size` is the height and width of the images.

    `hidden` is the width between image and code, `latent` the length of the code.
    """
    signature = Signature.parse(
        f"""
        pixels: float32[batch, {channels}, {size}, {size}] in 0..1
        noise: float32[batch, {latent}]
        where batch = 1..64
        -> reconstruction: float32[batch, {channels}, {size}, {size}]
        -> mean: float32[batch, {latent}]
        -> log_variance: float32[batch, {latent}]
        """
    )
    return VAE(channels, size, hidden, latent), signature
