"""LSTM with projections as ONNX's own LSTM: the numbers of PyTorch at every size and length."""

from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from exporters.own import Own
from toolkit import source

SIGNATURE = """
    x: float32[batch, time, 3]
    lengths: int64[batch] in 1..9
    h: float32[states, batch, 2]
    c: float32[states, batch, 4]
    where batch = 1..8, time = 1..9
"""
SIZES = [(1, 1), (1, 9), (8, 1), (8, 9), (3, 4)]
STACKS: dict[str, dict[str, bool | int]] = {
    "one": {},
    "two_both_ways": {"num_layers": 2, "bidirectional": True, "bias": False},
}


class EveryCall(nn.Module):
    """Whole and packed, from zeros and from a state."""

    def __init__(self, options: dict[str, bool | int]) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, proj_size=2, batch_first=True, **options)

    def forward(self, x: Tensor, lengths: Tensor, h: Tensor, c: Tensor) -> dict[str, Tensor]:
        outputs = {}
        for short, initial in product((False, True), repeat=2):
            given = (
                pack_padded_sequence(
                    x, lengths.clamp(max=x.shape[1]), batch_first=True, enforce_sorted=False
                )
                if short
                else x
            )
            states, ends = self.lstm(given, (h, c) if initial else None)
            if short:
                states, _ = pad_packed_sequence(states, True, total_length=x.shape[1])
            flat = [t.flatten() for t in (states, *ends)]
            outputs[f"packed {short}, from a state {initial}"] = torch.cat(flat)
        return outputs


@pytest.mark.parametrize("stack", STACKS)
def test_native_nodes_give_the_same_at_every_size(stack: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = EveryCall(STACKS[stack]).eval()
    count = module.lstm.num_layers * (2 if module.lstm.bidirectional else 1)
    made = module, SIGNATURE.replace("states", str(count))
    Own().export(source.load(made), tmp_path / "m.onnx", opset=20)
    nodes = [n.op_type for n in onnx.load(str(tmp_path / "m.onnx")).graph.node]
    assert nodes.count("LSTM") == 4 * module.lstm.num_layers
    assert not {"Loop", "Scan", "Tanh", "Sigmoid"} & set(nodes)
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    rng = np.random.default_rng(0)
    for batch, time in SIZES:
        feed = {
            "x": rng.standard_normal((batch, time, 3)).astype(np.float32),
            "lengths": rng.integers(1, 10, batch),
            "h": rng.standard_normal((count, batch, 2)).astype(np.float32),
            "c": rng.standard_normal((count, batch, 4)).astype(np.float32),
        }
        with torch.no_grad():
            expected = module(**{n: torch.from_numpy(a) for n, a in feed.items()})
        found = session.run(None, feed)
        for (name, wanted), got in zip(expected.items(), found, strict=True):
            np.testing.assert_allclose(got, wanted.numpy(), atol=2e-6, err_msg=name)
