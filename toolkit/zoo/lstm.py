"""LSTM classifier for sequences of different lengths: stacked LSTM layers, softmax head.

    i, f, o = sigmoid(W_i [x_t, h_t-1] + b_i), ..._f, ..._o     [batch, hidden]
    g = tanh(W_g [x_t, h_t-1] + b_g)                            [batch, hidden]
    c_t = f c_t-1 + i g        h_t = o tanh(c_t)                [batch, hidden]
    p = softmax(W_d h_last + b_d)                               [batch, classes]

h_last is the top layer's state after `lengths` steps of a row; bidirectional, beside it the state
that read them backwards. A length above `time` counts as `time`.

Hochreiter, Schmidhuber: Long short-term memory, 1997; the forget gate f: Gers, Schmidhuber,
Cummins: Learning to forget, 2000.
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
    stack = nn.LSTM(features, hidden, layers, batch_first=True, bidirectional=bidirectional)
    return classifier(stack, classes=classes, steps=steps)
