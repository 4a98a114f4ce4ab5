"""Convolutions of audio codecs pad their end by what the length leaves over."""

from pathlib import Path

import pytest
import torch
import transformers
from transformers.models.encodec.modeling_encodec import EncodecConv1d

import toolkit
from exporters.rewrites.codecs import FAMILY, _padding


@pytest.mark.parametrize(("kernel", "stride"), [(7, 1), (4, 2), (8, 4), (3, 3)])
def test_it_pads_as_the_layer_does(kernel: int, stride: int) -> None:
    layer = EncodecConv1d(transformers.EncodecConfig(), 1, 1, kernel, stride)
    ours = _padding(kernel, stride, kernel - stride)
    for length in range(kernel, 60):
        x = torch.zeros(1, 1, length)
        assert ours(x) == int(layer._get_extra_padding_for_conv1d(x))


def test_a_convolution_exports_for_any_length(tmp_path: Path) -> None:
    config = transformers.EncodecConfig(norm_type="time_group_norm", pad_mode="constant")
    layer = EncodecConv1d(config, 2, 3, 8, 4).eval()
    exported = toolkit.export(
        (layer, "x: float32[batch, 2, samples]; where batch = 1..3, samples = 20..60"),
        tmp_path / "m.onnx",
        exporters=("onnxport",),
        budget=2.0,
    )
    assert exported.report.holds, exported.report.reason


def test_the_layer_gets_back_its_tensors() -> None:
    layer = EncodecConv1d(transformers.EncodecConfig(), 1, 1, 4, 2)
    before = dict(layer.named_buffers())
    with FAMILY.tracing(layer):
        assert layer.stride == 2
    assert dict(layer.named_buffers()).keys() == before.keys()
