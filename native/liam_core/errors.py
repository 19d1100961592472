"""The package's exceptions. Wrong arguments are plain `ValueError`s that name the argument."""


class KernelError(RuntimeError):
    """The C kernel cannot run here as asked: an unknown or unsupported SIMD level, or a failed self-test."""


class ModelFormatError(ValueError):
    """A file or definition is no valid binary network; the message says what is wrong with it."""
