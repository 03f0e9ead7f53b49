"""Rendering with Ray Data: a class for ``Dataset.map_batches``, which loads its model once in each actor.

    >>> ds.map_batches(audiodiff.ray.Render, fn_constructor_kwargs={"seed": "seed"}, concurrency=4, num_cpus=2)

It imports no Ray and takes any mapping of columns, so that other engines can call it as well.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _given
from ._vocoder import Vocoder
from .errors import AudiodiffError, MelError, SettingsError

__all__ = ["Render"]


class Render:
    """Renders the column `mel` of a batch into the columns `sound`, ``sample_rate`` and ``error``.

    How the rows are shared among actors changes nothing: the seed is a column's or one for all, and so are the threads.
    A row that cannot be rendered is kept, with an empty sound and the reason in ``error``; the others' is ``""``.

    :param model: as of :class:`audiodiff.Vocoder`, like `device`, `precision` and `threads`
    :param mel: the column with the mels, ``[M, T]`` each (or ``[T, M]``), arrays or nested lists
    :param sound: the column for the sounds, float32 ``[n]`` each
    :param seed: the column with the seeds, or a seed for all rows
    :param convention: what made the mels. Stated, it is the same for all rows; ``"auto"`` looks at each
    :param options: others of a :class:`audiodiff.Vocoder`'s call: ``layout``, ``quality``, ``effort``, ``chunk``, ``rate``
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        mel: str = "mel",
        sound: str = "sound",
        seed: str | int = 0,
        convention: _given.ConventionLike = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        **options: Any,
    ) -> None:
        self._vocoder = Vocoder(model, device=device, precision=precision, threads=threads)
        self._columns = (mel, sound, seed)
        self._convention = convention
        self._options = options
        unknown = options.keys() - {"layout", "quality", "effort", "chunk", "rate"}
        if unknown:
            raise SettingsError(f"{', '.join(sorted(unknown))}: is no option of rendering")

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        mel, sound, seed = self._columns
        for column in (mel, *([seed] if isinstance(seed, str) else [])):
            if column not in batch:
                raise SettingsError(f"column {column}: is not there, expected one of {', '.join(map(str, batch))}")
        rows = [self._row(one, batch[seed][i] if isinstance(seed, str) else seed) for i, one in enumerate(batch[mel])]
        sounds = np.empty(len(rows), object)
        sounds[:] = [made for made, _, _ in rows]
        return {
            **batch,
            sound: sounds,
            "sample_rate": np.array([rate for _, rate, _ in rows], np.int64),
            "error": np.array([error for _, _, error in rows], object),
        }

    def _row(self, mel: Any, seed: Any) -> tuple[np.ndarray, int, str]:
        try:
            mel = _array(mel)
            made, rate = self._vocoder._render(mel, convention=self._convention, seed=seed, **self._options)
            return made, rate, ""
        except AudiodiffError as error:
            return np.zeros(0, np.float32), 0, str(error)


def _array(mel: Any) -> Any:
    """Arrow brings lists of lists, and NumPy makes arrays of arrays of them."""
    if not isinstance(mel, list) and getattr(mel, "dtype", None) != object:
        return mel
    try:
        return np.stack([np.asarray(row, np.float32) for row in mel])
    except (TypeError, ValueError) as problem:
        raise MelError(f"the mel: is no array of numbers ({problem}), expected [M, T]") from None
