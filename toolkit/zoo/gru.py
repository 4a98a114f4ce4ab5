"""GRU classifier for sequences of different lengths: stacked GRU layers, softmax head.

    r, z = sigmoid(W_r [x_t, h_t-1] + b_r), ..._z               [batch, hidden]
    n = tanh(W_n x_t + b_n + r (U_n h_t-1 + c_n))               [batch, hidden]
    h_t = (1 - z) n + z h_t-1                                   [batch, hidden]
    p = softmax(W_d h_last + b_d)                               [batch, classes]

h_last is the top layer's state after `lengths` steps of a row; bidirectional, beside it the state
that read them backwards. A length above `time` counts as `time`.

Cho et al.: Learning phrase representations using RNN encoder-decoder for statistical machine
translation, 2014; r applied after the product with U_n, as in cuDNN and PyTorch.
"""

from torch import nn

from toolkit.signature import Signature
from toolkit.zoo._recurrent import SequenceClassifier, classifier


def build(
    features: int = 16,
    hidden: int = 64,
    layers: int = 2,
    classes: int = 10,
    steps: int = 64,
    bidirectional: bool = False,
) -> tuple[SequenceClassifier, Signature]:
    """`steps` is the longest sequence; `bidirectional` reads each row backwards as well."""
    stack = nn.GRU(features, hidden, layers, batch_first=True, bidirectional=bidirectional)
    return classifier(stack, classes=classes, steps=steps)
