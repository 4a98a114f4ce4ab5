"""What the recurrent architectures share: rows of different lengths, and the classifier on top."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from toolkit.signature import Signature


def over_rows(layers: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Run `layers` over the first `lengths` steps of each row of `x` [batch, time, features].

    Returns the states of the top layer [batch, time, directions * hidden], zero after a row's end,
    and those that it ends with [batch, directions * hidden]: forwards at the last step that counts,
    backwards at the first. A length below 1 counts as 1, one above `time` as `time`.
    """
    time = x.shape[1]
    steps = lengths.clamp(min=1, max=time)
    packed = pack_padded_sequence(x, steps.cpu(), batch_first=True, enforce_sorted=False)
    states, last = layers(packed)
    hidden: Tensor = last[0] if isinstance(last, tuple) else last
    directions = 2 if layers.bidirectional else 1
    padded, _ = pad_packed_sequence(states, batch_first=True, total_length=time)
    return padded, hidden[-directions:].transpose(0, 1).flatten(1)


class SequenceClassifier(nn.Module):
    """Sequences [batch, time, features] and their lengths [batch] to class probabilities."""

    def __init__(self, layers: nn.RNNBase, classes: int) -> None:
        super().__init__()
        self.layers = layers
        directions = 2 if layers.bidirectional else 1
        self.dense = nn.Linear(directions * layers.hidden_size, classes)

    def logits(self, x: Tensor, lengths: Tensor) -> Tensor:
        """What cross-entropy wants while training: the probabilities before the softmax."""
        _, last = over_rows(self.layers, x, lengths)
        logits: Tensor = self.dense(last)
        return logits

    def forward(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return {"probabilities": self.logits(x, lengths).softmax(dim=-1)}


def signature(features: int, steps: int, output: str) -> Signature:
    """Up to `steps` steps of standardised features, and how many of them count in each row."""
    return Signature.parse(
        f"""
        x: float32[batch, time, {features}] in -4..4
        lengths: int64[batch] in 1..{steps}
        where batch = 1..32, time = 1..{steps}
        -> {output}
        """
    )


def classifier(
    layers: nn.RNNBase, *, classes: int, steps: int
) -> tuple[SequenceClassifier, Signature]:
    contract = signature(layers.input_size, steps, f"probabilities: float32[batch, {classes}]")
    return SequenceClassifier(layers, classes), contract
