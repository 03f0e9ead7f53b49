"""What a caller is to know of a sound that is there all the same, as Python's warnings."""
from __future__ import annotations

import sys
import warnings

from ._keywords import in_keywords
from .errors import AudiodiffWarning


def warn(notes: list[str]) -> None:
    for note in notes:
        warnings.warn(in_keywords(note), AudiodiffWarning, stacklevel=_outside())


def _outside() -> int:
    """The stack level of the first caller that is not audiodiff, as seen from `warn`'s caller's."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "audiodiff":
        level, frame = level + 1, frame.f_back
    return level
