"""(d) The model families of timm and torchvision: a small one of each, with random weights.

Neither is needed to work on this project, and torchvision's wheel wants the torch of one machine:
they are not in .venv but in a folder of their own, build/vision, which the command in `HINT` fills.
There torchvision runs without its compiled operators. The detection models need those, and are no
case; nor are the quantized copies, for eager mode. Of timm, a family whose smallest model has more
than 60 million parameters is given fewer layers (`_SHORTENED`); pnasnet, mobilenetv5 and vgg, which
cannot be, are left out.

Images are of any size where a model runs at several, as hf: has it, else of the size that it names.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from benchmarks.corpora.cases import Case, stir
from toolkit.domain import Interval
from toolkit.errors import MissingError
from toolkit.signature import Dim, Signature, TensorSpec

FOLDER = Path("build/vision")
HINT = f"pip install --no-deps --target {FOLDER} torchvision==0.28.0 timm==1.0.31"

_TIMM = """
    halonet_h1 test_byobnet cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 test_convnext
    cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny
    deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small efficientformer_l1
    efficientformerv2_s0 mnasnet_small efficientvim_m1 efficientvit_b0 efficientvit_m0
    eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny ghostnet_050
    hardcorenas_b hgnetv2_b0 hiera_tiny_224 sam2_hiera_tiny hrnet_w18_small iformer_t
    inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s
    lowformer_b0 test_mambaout test_coatnet caformer_s18 gmlp_ti16_224 mobilenetv3_small_050
    mobilevit_xxs mvitv2_tiny nest_tiny nextvit_small test_nfnet pit_ti_224 pvt_v2_b0 rdnet_tiny
    regnetx_002 repghostnet_050 repvit_m1 res2next50 resnest14d test_resnet resnetv2_18 rexnet_100
    selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs
    swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224
    tnt_s_legacy_patch16_224 tresnet_m twins_svt_small visformer_tiny test_vit
    vit_tiny_r_s16_p8_224 test_vit_relpos vitamin_small_224 volo_d1_224 ese_vovnet19b_slim
    legacy_xception xception41p xcit_nano_12_p8_224
    beit_base_patch16_224 samvit_base_patch16_224 naflexvit_base_patch16_gap deepseek_vit_412m
    gemma4_vit_167m qwen3_vit_88m nasnetalarge
"""

_SHORTENED: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": {"depth": 2},
    "samvit_base_patch16_224": {"depth": 3},
    "naflexvit_base_patch16_gap": {"depth": 2},
    "deepseek_vit_412m": {"depth": 2, "img_size": 126},
    "gemma4_vit_167m": {"depth": 2},
    "qwen3_vit_88m": {"depth": 2},
    "nasnetalarge": {"num_features": 384},
    "mvit_v1_b": {"spatial_size": (64, 64), "temporal_size": 8},
    "mvit_v2_s": {"spatial_size": (64, 64), "temporal_size": 8},
}
"""What makes a large model, or a large video, small."""

_CLASSIFICATION = """
    alexnet vgg11_bn squeezenet1_1 densenet121 inception_v3 googlenet shufflenet_v2_x0_5
    mobilenet_v2 mobilenet_v3_small mnasnet0_5 efficientnet_b0 efficientnet_v2_s regnet_y_400mf
    regnet_x_400mf resnet18 resnext50_32x4d vit_b_32 swin_t swin_v2_t maxvit_t convnext_tiny
"""
_SEGMENTATION = ("deeplabv3_mobilenet_v3_large", "fcn_resnet50", "lraspp_mobilenet_v3_large")
_VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v1_b", "mvit_v2_s", "swin3d_t")
_FLOW = ("raft_small",)

_BATCH = Dim("batch", Interval(1, 4))
_STEP = 32
_LOWEST = (64, 128)
"""Sides to try to begin with; to end with, twice the step more."""


def cases() -> Iterator[Case]:
    """Every family of timm, then of torchvision. Raises MissingError where they are not there."""
    load()
    for name in _TIMM.split():
        yield Case(f"timm/{name}", partial(build, partial(_timm, name), "image"))
    for kind, names in (
        ("image", (*_CLASSIFICATION.split(), *_SEGMENTATION)),
        ("video", _VIDEO),
        ("flow", _FLOW),
    ):
        for name in names:
            yield Case(f"torchvision/{name}", partial(build, partial(_torchvision, name), kind))


def build(make: Callable[[], tuple[nn.Module, int]], kind: str) -> tuple[nn.Module, Signature]:
    """The model, and the widest signature of its kind that it runs at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model, side = make()
        model.eval()
        stir(model)
        said = ""
        for candidate, sides in _SIGNATURES[kind](side):
            refused = _refusal(model, candidate, sides)
            if not refused:
                return model, candidate
            said = said or refused
    raise LookupError(said)


def load() -> None:
    """Make timm and torchvision importable: the latter asks for operators that it cannot load."""
    if not (FOLDER / "timm").is_dir() or not (FOLDER / "torchvision").is_dir():
        raise MissingError(f"timm and torchvision are not in {FOLDER}", HINT)
    if "torchvision" in sys.modules:
        return
    sys.path.append(str(FOLDER.resolve()))
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)
    import timm

    timm.list_models()  # before the benchmark forks


_LIBRARIES: list[torch.library.Library] = []
"""Operators are there for as long as the library that defines them."""


def _timm(name: str) -> tuple[nn.Module, int]:
    import timm

    fewer = _SHORTENED.get(name, {})
    model = timm.create_model(name, pretrained=False, **fewer)
    return model, fewer.get("img_size", model.pretrained_cfg["input_size"][-1])


def _torchvision(name: str) -> tuple[nn.Module, int]:
    from torchvision import models
    from torchvision.models.video import mvit

    more: dict[str, Any] = {}
    if name in ("inception_v3", "googlenet"):
        more["init_weights"] = False
    if name in _SEGMENTATION:
        more["weights_backbone"] = None
    fewer = _SHORTENED.get(name, {})
    whole = mvit.MViT  # the functions that make one take no size
    with mock.patch.object(mvit, "MViT", lambda **given: whole(**given | fewer)):
        model = models.get_model(name, weights=None, **more)
    return model, fewer.get("spatial_size", (224,))[0]


def _images(side: int) -> Iterator[tuple[Signature, Sequence[dict[str, int]]]]:
    yield from _of_any_size(lambda h, w: [("images", ("batch", 3, h, w))])
    fixed = TensorSpec("images", "float32", ("batch", 3, side, side), Interval(-3.0, 3.0))
    yield Signature((fixed,), (_BATCH,)), [{"batch": 2}]


def _videos(side: int) -> Iterator[tuple[Signature, Sequence[dict[str, int]]]]:
    for frames in (8, 16):
        yield from _of_any_size(lambda h, w: [("video", ("batch", 3, frames, h, w))])  # noqa: B023
        fixed = TensorSpec(
            "video", "float32", ("batch", 3, frames, side, side), Interval(-3.0, 3.0)
        )
        yield Signature((fixed,), (_BATCH,)), [{"batch": 2}]


def _pairs(side: int) -> Iterator[tuple[Signature, Sequence[dict[str, int]]]]:
    yield from _of_any_size(lambda h, w: [(n, ("batch", 3, h, w)) for n in ("first", "second")])


def _of_any_size(
    inputs: Callable[[str, str], list[tuple[str, tuple[int | str, ...]]]],
) -> Iterator[tuple[Signature, Sequence[dict[str, int]]]]:
    """With the sizes to try it at: not square, at the ends."""
    for low in _LOWEST:
        high = low + 2 * _STEP
        sides = tuple(Dim(name, Interval(low, high, _STEP)) for name in ("height", "width"))
        specs = tuple(
            TensorSpec(name, "float32", shape, Interval(-3.0, 3.0))
            for name, shape in inputs("height", "width")
        )
        ends = ((low, high), (high, low))
        yield (
            Signature(specs, (_BATCH, *sides)),
            [{"batch": 2, "height": h, "width": w} for h, w in ends],
        )


_SIGNATURES = {"image": _images, "video": _videos, "flow": _pairs}


@torch.no_grad()
def _refusal(model: nn.Module, signature: Signature, trials: Sequence[dict[str, int]]) -> str:
    """What the model says to these sizes; empty where it runs. A copy is tried: some change."""
    for sizes in trials:
        tensors = [torch.randn(s.shape_for(sizes)) for s in signature.inputs]
        try:
            copy.deepcopy(model)(*tensors)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""
