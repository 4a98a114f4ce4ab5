"""topk takes the first of equal numbers where it is asked to, and whatever it likes elsewhere."""

import torch

from toolkit.ties import first_of_equals


def test_the_first_of_equals() -> None:
    x = torch.tensor([[1.0, 3.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0, 2.0]])
    with first_of_equals():
        values, places = torch.topk(x, 2)
        smallest = x.topk(2, 0, False)
    assert values.tolist() == [[3.0, 3.0], [2.0, 2.0]]
    assert places.tolist() == [[1, 2], [0, 1]]
    assert smallest.indices[0].tolist() == [0, 1, 1, 1, 0]


def test_without_ties_it_is_topk() -> None:
    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    expected = x.topk(3)
    with first_of_equals():
        found = x.topk(3)
    assert found.values.equal(expected.values)
    assert found.indices.equal(expected.indices)
