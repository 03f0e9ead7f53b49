"""What callers give, checked: arrays, tensors, numbers. The extension takes nothing else."""
from __future__ import annotations

import json
import operator
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _audiodiff
from ._notes import warn
from .errors import AudioError, ConventionError, MelError, SettingsError

if TYPE_CHECKING:
    import torch

#: float32 in C order, and what makes the caller's kind of such an array.
Arrays = tuple["np.ndarray[Any, np.dtype[np.float32]]", Callable[[np.ndarray], Any]]
ConventionLike = Union[str, "os.PathLike[str]", Mapping[str, Any]]


def shown(value: Any) -> str:
    """A value of any type in a few words."""
    if not isinstance(value, (str, bytes, int, float, complex, np.generic, type(None))):
        return f"of type {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def floats(values: Any, name: str, error: type[MelError] | type[AudioError] = MelError) -> Arrays:
    """`values` as float32 in C order; not copied where they are that already."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        return _of_tensor(values, name, error), torch.from_numpy
    if not isinstance(values, np.ndarray):
        raise error(f"{name}: is of type {type(values).__name__}, expected a numpy array or a torch tensor")
    if isinstance(values, np.ma.MaskedArray):
        raise error(f"{name}: is a masked array, expected numbers throughout; give {name.split()[-1]}.filled()")
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise error(f"{name}: is of {values.dtype}, expected float32; give it .astype('float32') if its numbers are right")
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        return np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape), lambda array: array


def _of_tensor(values: torch.Tensor, name: str, error: type[MelError] | type[AudioError]) -> np.ndarray:
    import torch

    if values.device.type != "cpu":
        raise error(f"{name}: is on the device {values.device}, expected the CPU; give it .cpu()")
    if values.layout != torch.strided or values.is_quantized or not values.is_floating_point():
        raise error(f"{name}: is of {values.dtype} in the layout {values.layout}, expected a dense float32; give it .float()")
    return values.detach().to(torch.float32).resolve_neg().contiguous().numpy()


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        raise SettingsError(f"{name}: is {shown(value)}, expected a whole number from {low} to {high}")
    return number


def number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise SettingsError(f"{name}: is {shown(value)}, expected a number") from None


def seed(value: Any, name: str = "seed") -> int:
    return whole(value, name, 0, 2**64 - 1)


def rate(value: Any, name: str = "rate") -> int:
    """A sample rate in Hz."""
    return whole(value, name, 4_000, 384_000)


def optional(value: Any, check: Callable[..., Any], *arguments: Any) -> Any:
    return None if value is None else check(value, *arguments)


def truth(value: Any, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise SettingsError(f"{name}: is {shown(value)}, expected True or False")
    return bool(value)


def text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{name}: is {shown(value)}, expected a string")
    return value


def iterator(values: Any, name: str, what: str) -> Iterator[Any]:
    try:
        return iter(values)
    except TypeError:
        raise SettingsError(f"{name}: is {shown(values)}, expected an iterable of {what}") from None


def path(value: Any, name: str) -> str:
    try:
        value = os.fsdecode(value)
    except TypeError:
        raise SettingsError(f"{name}: is {shown(value)}, expected a path") from None
    if not value or "\0" in value:
        raise SettingsError(f"{name}: is {shown(value)}, expected a path")
    return value


def effort(quality: Any, entries: Any, chunk: Any, extend: Any, predicted: Any) -> dict[str, Any]:
    """The extension's ``Effort``."""
    if entries is not None and not isinstance(entries, Mapping):
        raise SettingsError(f"effort: is {shown(entries)}, expected a mapping such as {{'steps': 4}}")
    checked = {text(key, "effort"): whole(value, f"effort[{key!r}]", 0, 1000) for key, value in (entries or {}).items()}
    return {
        "quality": text(quality, "quality"),
        "effort": checked,
        "chunk": optional(chunk, whole, "chunk", 1, 100_000),
        "extend": truth(extend, "extend"),
        "predicted": truth(predicted, "predicted"),
    }


def convention(given: ConventionLike) -> _audiodiff.Convention:
    """By name, by file, or by its fields."""
    if isinstance(given, Mapping):
        try:
            fields = json.dumps(dict(given), allow_nan=False)
        except (TypeError, ValueError) as problem:
            raise ConventionError(f"convention: cannot be used ({problem}), expected numbers and strings") from None
        return _audiodiff.Convention.of_json(fields)
    try:
        named, notes = _audiodiff.Convention.named(os.fsdecode(given))
    except (TypeError, UnicodeError):
        raise ConventionError(f"convention: is {shown(given)}, expected a name, a path or the fields of one") from None
    warn(notes)
    return named


def stated(given: ConventionLike) -> _audiodiff.Convention | None:
    """`None` for "auto"."""
    return None if isinstance(given, str) and given == "auto" else convention(given)
