"""Corpus (e): each module runs by eager PyTorch at both ends of every dimension of its own."""

import numpy as np
import pytest
import torch

from benchmarks.corpora.bends import cases
from benchmarks.corpora.cases import Case
from toolkit import examples
from toolkit.model import to_tensor
from toolkit.signature import Signature

CASES = list(cases())


def test_no_name_stands_twice() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_runs_at_both_ends_of_every_dimension(case: Case) -> None:
    module, text = case.build()
    signature = Signature.parse(str(text))
    base = examples.example_sizes(signature)
    ends = [{**base, d.name: end} for d in signature.dims for end in (d.low, d.legal[-1])]
    for sizes in ends:
        feeds = examples.feeds(signature, sizes, "uniform", np.random.default_rng(0))
        tensors = {s.name: to_tensor(feeds[s.name], s.dtype) for s in signature.inputs}
        with torch.no_grad():
            assert module(**tensors) is not None
