"""Everything that audiodiff raises. A message is one sentence: what is meant, what was found, what was expected, what to do."""
from ._keywords import in_keywords

__all__ = [
    "AudiodiffError",
    "AudioError",
    "AudiodiffWarning",
    "BackendError",
    "BugError",
    "ConventionError",
    "FileError",
    "ManifestError",
    "MelError",
    "ModelError",
    "OutputError",
    "SettingsError",
]


class AudiodiffError(Exception):
    """What all errors of audiodiff are."""

    def __init__(self, message: str) -> None:
        super().__init__(in_keywords(message))


class MelError(AudiodiffError, ValueError):
    """A mel that cannot be rendered: another type, shape or device, or values that are no numbers."""


class ConventionError(AudiodiffError, ValueError):
    """A convention that contradicts itself or the mel, or is left open by it."""


class AudioError(AudiodiffError, ValueError):
    """A waveform or recording that cannot be used."""


class SettingsError(AudiodiffError, ValueError):
    """A keyword's value that is out of range, or values that do not go together."""


class ModelError(AudiodiffError, ValueError):
    """A model file that is broken, or of a family that this version does not know."""


class ManifestError(AudiodiffError, ValueError):
    """A manifest that cannot be used."""


class OutputError(AudiodiffError, FileExistsError):
    """An output that is there already."""


class FileError(AudiodiffError, OSError):
    """The operating system refused a file."""


class BackendError(AudiodiffError, RuntimeError):
    """libtorch refused: out of memory, no such device."""


class BugError(AudiodiffError, RuntimeError):
    """The fault is audiodiff's, whatever the input."""


class AudiodiffWarning(UserWarning):
    """Something was assumed, or looks odd."""
