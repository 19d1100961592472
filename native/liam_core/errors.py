"""The package's exceptions. Wrong arguments are plain `ValueError`s that name the argument."""


class KernelError(RuntimeError):
    """The C kernel cannot run here as asked: an unknown or unsupported SIMD level, or a failed self-test."""


class ModelFormatError(ValueError):
    """A file or definition is no valid model; the message says what is wrong with it."""


class ResultSizeError(ValueError):
    """A request would give more than an answer may hold; the message says how much, and what to do."""
