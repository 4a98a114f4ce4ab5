"""Is the original a function at all?"""

from collections.abc import Callable

import pytest

from tests import models
from toolkit import source
from toolkit.errors import InputError
from toolkit.pipeline.references import reference_model


def test_a_random_model_is_refused_and_the_module_named() -> None:
    with pytest.raises(InputError) as caught:
        reference_model(source.load(models.random()))
    assert "not deterministic" in caught.value.message
    assert caught.value.message.endswith("first in noise (Noisy)")
    assert "F.dropout needs training=self.training" in caught.value.hint


@pytest.mark.parametrize("make", [models.linear, models.encoder, models.recurrent, models.tokens])
def test_an_ordinary_model_passes(make: Callable[[], object]) -> None:
    reference_model(source.load(make()))
