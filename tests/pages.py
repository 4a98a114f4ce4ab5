"""Reports for the HTML page, with all there is to show, as values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.projects import model, parity, report, stage
from toolkit.parity.cases import plan
from toolkit.parity.fidelity import Fidelity
from toolkit.parity.results import CaseResult, ParityReport
from toolkit.parity.verdict import Judgement
from toolkit.project.results import Drift, Failure, ProjectReport, StageResult, Tried
from toolkit.signature import Signature

TEXT = """\
ids: int64[batch, tokens] in 0..30521
mask: int64[batch, tokens] in {0, 1}
where batch = 1..64, tokens = 1..512
-> embeddings: float32[batch, tokens, 384]
-> pooled: float32[batch, 384]"""


def encoder(*, right_up_to: int = 512, unreached: int = 3) -> ParityReport:
    """128 cases over two dimensions; those with more tokens fail."""
    signature = Signature.parse(TEXT)
    planned = plan(signature, limit=128)
    results = []
    for number, case in enumerate(planned[: len(planned) - unreached]):
        holds = dict(case.sizes)["tokens"] <= right_up_to
        wrong = Judgement(
            *("embeddings", holds, 0.25, 0.4 + number / 100 if holds else 81300.0 + number),
            "" if holds else "is 0.251827329, expected -0.113092855 at [0, 129, 17]",
        )
        results.append(CaseResult(case, (wrong, Judgement("pooled", True, 1e-6, 0.7))))
    return ParityReport(
        "encoder.onnx",
        "model.py:encoder",
        signature,
        "cpu",
        tuple(results),
        tuple(planned[len(planned) - unreached :]),
    )


def everything(name: str = "sentence-encoder") -> ProjectReport:
    """Every outcome once: differs, an error, drift, left out, held."""
    tried = (
        Tried("onnxport", "differs", "'embeddings' is off at tokens=512", 12.3),
        Tried("dynamo", "refused", "Could not guard on data-dependent expression u0 > 3", 4.5),
        Tried("torchscript", "holds", "", 2.25),
    )
    wrong = encoder(right_up_to=128)
    rerun = "onnxport check sentence-encoder --case " + str(wrong.failures[0].case)
    bad = model(
        StageResult(
            "export", "cpu", wrong, size=90_900_000, rerun=rerun, tried=tried, latency=0.74
        ),
        StageResult("simplify", "cpu", remark="nothing to simplify: 412 nodes before and after"),
        StageResult(
            *("int8", "cuda"), failure=Failure("no CUDA device here", "pass --device cpu", 4)
        ),
        name=name,
        signature=TEXT,
        weights_size=90_850_000,
    )
    lossy = replace(parity(), fidelity=(Fidelity("y", 31.25, 0.99931, 0.9962, 4096),))
    good = model(
        stage(encoder(), latency=0.31), stage(lossy, stage="int8", size=23_100_000), name="good"
    )
    drifts = model(
        stage(drift=(Drift("size (may grow by 5%)", "1.0 kB", "2.0 kB"),), notes=("time: was 2x",)),
        name="small",
    )
    return replace(report(good, drifts, bad), locked=True, notes=("only the lock has: old",))


def enriched() -> dict[str, Any]:
    """With what only some checks find out."""
    found = everything().to_dict()
    (wrong,) = (m for m in found["models"] if m["name"] == "sentence-encoder")
    case = wrong["stages"][0]["report"]["failures"][0]["case"]
    wrong["stages"][0]["report"] |= {
        "outputs": [
            {
                "output": "embeddings",
                "ratio": 81300.0,
                "ulps": 4.2e6,
                "max_abs": 0.36,
                "max_rel": 3.2,
                "sqnr": "inf",
                "cosine": 0.99,
                "top1": 0.99999,
                "top5": None,
                "kl": None,
                "worst_case": case,
                "worst_index": [0, 129, 17],
            }
        ],
        "smallest": {
            "case": "batch=1,tokens=129,fill=zeros,seed=0,mask[0,2]=1",
            "reason": "is 1, expected 2",
        },
        "excused": [{"case": next(iter(wrong["stages"][0]["report"]["ratios"])), "why": "noise"}],
        "located": {
            "departure": {
                "node": "/layers.3/attention/Slice",
                "operator": "Slice",
                "module": "layers.3.attention",
                "line": "model.py:41",
                "ratio": 812.0,
                "expected": "aten.slice",
            },
            "blame": ["the exporter 'onnxport': what it writes is wrong before any other stage"],
            "profile": [
                {"module": "layers.2", "ratio": 1.2, "sqnr": None},
                {"module": "layers.3", "ratio": "inf", "sqnr": None},
            ],
            "case": case,
            "reproduction": "reduced: python reduced/reproduce.py",
        },
    }
    good = next(m for m in found["models"] if m["name"] == "good")
    good["stages"][1]["report"]["located"] = {
        "departure": None,
        "blame": [],
        "profile": [
            {"module": "conv1", "ratio": 0.0, "sqnr": 41.5},
            {"module": "fc", "ratio": 0.0, "sqnr": 22.25},
        ],
    }
    return found
