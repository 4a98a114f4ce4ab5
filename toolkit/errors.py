"""Every error that a user may meet: what is wrong, what to do, and the exit code it ends with.

Nothing here prints; `toolkit.cli` does. Code that meets a foreign exception turns it into one of
these at the boundary, with the name of the thing that is wrong.
"""


class OnnxportError(Exception):
    """Base of all errors that onnxport raises on purpose.

    `message` says what is wrong with which thing, `hint` what to do about it. The command line
    prints both, one line each, and exits with `exit_code`.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.limits: dict[str, list[int]] = {}
        """Where an export is possible for less only: the ends of each dimension concerned."""

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ParityError(OnnxportError):
    """A candidate does not behave like its original, or is over its accuracy budget."""

    exit_code = 1


class UsageError(OnnxportError):
    """The call itself is wrong: an unknown option, two options that exclude each other."""

    exit_code = 2


class InputError(OnnxportError):
    """A model, a file, a signature or data that cannot be used as it is."""

    exit_code = 3


class ExportRefused(InputError):
    """An exporter cannot write this model, or only for less (`limits`) than is declared."""


class NotApplicable(ExportRefused):
    """An exporter is for another kind of model: nothing was tried."""


class NotLoadable(InputError):
    """A runtime cannot load a file: an operator, a type or an opset that it does not have."""


class MissingError(OnnxportError):
    """The machine lacks something: an execution provider, a library, a package."""

    exit_code = 4


class StageCrashed(OnnxportError):
    """Native code crashed, or ran out of memory or of time, in its child process."""

    exit_code = 5
