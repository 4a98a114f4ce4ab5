"""Sessions made of plain functions: what a judge sees of a runtime, without one."""

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.signature import Signature

Function = Callable[[np.ndarray], np.ndarray]


class Computes:
    """The `Session` protocol over a function of the one input `x`, whose output is `y`."""

    device = "cpu"

    def __init__(self, signature: Signature, function: Function) -> None:
        self.signature, self._function = signature, function

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.asarray(self._function(feeds["x"]))}
