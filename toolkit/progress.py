"""How long-running calls tell what they are doing. The console listens; libraries need not."""

from __future__ import annotations


class Listener:
    """Hears about stages; this one stays silent. Override what is of interest."""

    def stage(self, name: str) -> None:
        """A stage begins; the one before it is over."""

    def progress(self, done: int, total: int) -> None:
        """The current stage has done so many of its steps."""

    def say(self, text: str) -> None:
        """One sentence about the outcome of the current stage."""


SILENT = Listener()
