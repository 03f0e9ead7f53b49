"""Rendering on many machines with Ray Data: a class for ``Dataset.map_batches``, which loads its model once in each actor.

    >>> import audiodiff.ray
    >>> ds = ray.data.read_parquet("mels/")  # columns name, mel and seed
    >>> ds = ds.map_batches(
    ...     audiodiff.ray.Render,
    ...     fn_constructor_kwargs={"out_dir": "/shared/wavs", "seed": "seed", "convention": "matcha"},
    ...     compute=ray.data.ActorPoolStrategy(size=8), num_cpus=1, batch_size=16,
    ... )
    >>> failed = ds.filter(lambda row: row["error"] != "").take_all()

It imports no Ray and takes any mapping of columns, so that other engines can call it as well.
"""
from __future__ import annotations

import io
import json
import operator
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _audiodiff, _given
from ._rows import Columns, FlacFiles, ParquetParts, WavFiles
from ._vocoder import Vocoder
from .errors import AudiodiffError, MelError, SettingsError

__all__ = ["Render"]

_OF_A_CALL = ("layout", "quality", "effort", "chunk", "extend", "predicted", "rate")
_OF_A_FILE = ("channels", "sample_format", "peaks", "gain_db", "loudness_lufs")


class Render:
    """Renders the mels of a batch: into a column of it, or into files, of which the batch then has the names.

    How rows are shared among actors changes no sample: the seed is a row's own or one for all, and so are the threads. Where
    machines differ, say the `precision`; "auto" is another on another processor.

    A row that cannot be rendered is kept, with the reason in the column ``error``, which is ``""`` for all others; what was
    assumed or looks odd is in ``warning``. A setting that is wrong for all rows is raised when the actor starts.

    Without `out_dir` the batch comes back with the columns `sound` (float32 ``[n]``, full scale at ±1; ``[2, n]`` of a mel
    ``[2, M, T]``; empty where it failed) and ``sample_rate`` (Hz; 0 where it failed).

    With `out_dir` the sounds are written there, each file whole or not at all, and the batch comes back without the mels, with
    the columns ``output`` (the file's path), ``status`` (``"done"``, ``"skipped"``, ``"failed"``) and ``seconds`` (of sound
    that was made now). What lies there of the same mel, seed, model and settings is done: a run that broke off goes on where
    it was, a batch that Ray gives to another actor leaves nothing twice, and rows that failed are tried again.

    :param model: as of :class:`audiodiff.Vocoder`, like `device`, `precision` and `threads`
    :param threads: for one row; give ``map_batches`` as many as ``num_cpus``
    :param mel: the column with the mels, ``[M, T]`` each (or ``[T, M]``; ``[2, M, T]`` is stereo): arrays, nested lists, lists
        whose shape is in another column, or the bytes of ``.npy`` and ``.npz`` files
    :param shape: the column with the shapes, where the mels are flat lists
    :param seed: the column with the seeds (whole numbers, or their digits), or a seed for all rows
    :param convention: what made the mels. Stated, it is the same for all rows; ``"auto"`` looks at each
    :param out_dir: a folder that all machines see, by its whole path
    :param output: what is written there: ``"wav"``, as ``audiodiff render`` writes it; ``"flac"``, with the same samples; or
        ``"parquet"``, a file for each batch: its columns, `sound` (a list of float32, of two channels left before right),
        ``channels``, ``sample_rate``, ``warning`` and ``made_of``
    :param name: the column with the rows' names, with which they are found again: text or whole numbers, each once. Files are
        called so, with folders where there are slashes; ``.npy`` and ``.npz`` at the end are dropped
    :param root: the folder above all names, where these are whole paths, such as those of ``read_binary_files``
    :param existing: what is there of a row's name, but of another mel or other settings, to ``"refuse"``, which fails the row,
        to ``"skip"`` or to ``"overwrite"``
    :param sound: the column for the sounds, in a batch or in Parquet
    :param options: others of a :class:`audiodiff.Vocoder`'s call, ``layout``, ``quality``, ``effort``, ``chunk``,
        ``extend``, ``predicted``, ``rate``; for files also those of its ``render``, ``channels``, ``sample_format``, ``peaks``, ``gain_db``, ``loudness_lufs``
    :raises audiodiff.SettingsError: for options that do not go together, or columns that are not there
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        mel: str = "mel",
        shape: str | None = None,
        seed: str | int = 0,
        convention: _given.ConventionLike = "auto",
        out_dir: str | os.PathLike[str] | None = None,
        output: str = "wav",
        name: str = "name",
        root: str | os.PathLike[str] | None = None,
        existing: str = "refuse",
        sound: str = "sound",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        **options: Any,
    ) -> None:
        self._mel, self._sound = _given.text(mel, "mel"), _given.text(sound, "sound")
        self._shape = _given.optional(shape, _given.text, "shape")
        self._name = None if out_dir is None else _given.text(name, "name")
        self._root = _given.optional(root, _given.path, "root")
        self._seed = seed if isinstance(seed, str) else _given.seed(seed)
        if output not in ("wav", "flac", "parquet"):
            raise SettingsError(f'output: is {_given.shown(output)}, expected "wav", "flac" or "parquet"')
        files = out_dir is not None and output != "parquet"
        for option in options:
            if option not in _OF_A_CALL and not (files and option in _OF_A_FILE):
                only = " without WAV or FLAC files" if option in _OF_A_FILE else ""
                raise SettingsError(f"{option}: is no option of rendering{only}")
        if existing not in ("refuse", "skip", "overwrite"):
            raise SettingsError(f'existing: is {_given.shown(existing)}, expected "refuse", "skip" or "overwrite"')
        self._vocoder = Vocoder(model, device=device, precision=precision, threads=threads)
        options["convention"] = convention
        if out_dir is None:
            self._output = Columns(self._vocoder, sound, options)
        else:
            out_dir = _given.path(out_dir, "out_dir")
            if not os.path.isabs(out_dir):
                raise SettingsError(f"out_dir: is {out_dir!r}, expected a whole path, for actors have working folders of their own")
            if output == "parquet":
                self._output = ParquetParts(self._vocoder, out_dir, (mel, name, sound), existing, options)
            else:
                kind = WavFiles if output == "wav" else FlacFiles
                self._output = kind(self._vocoder, out_dir, self._root, existing, options)
        self._try(options)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        columns = {column: list(batch[column]) for column in batch}
        for column in (self._mel, self._shape, self._name, self._seed):
            if isinstance(column, str) and column not in columns:
                raise SettingsError(f"column {column}: is not there, expected one of {', '.join(map(str, columns))}")
        if self._named_by_path(columns):
            raise SettingsError(f"column {self._name}: has whole paths, expected root=, the folder above all of them")
        self._output.look()
        rows = [self._row({column: values[i] for column, values in columns.items()}) for i in range(len(columns[self._mel]))]
        self._output.finish(columns, rows)
        kept = {column: batch[column] for column in columns if self._name is None or column != self._mel}
        return kept | {column: _column([row[column] for row in rows]) for column in [*self._output.failed(), "error"]}

    def _named_by_path(self, columns: Mapping[str, list[Any]]) -> bool:
        if self._root is not None or not isinstance(self._output, WavFiles):
            return False
        return any(isinstance(name, str) and name.startswith("/") for name in columns[self._name])

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        name = None if self._name is None else row[self._name]
        try:
            seed = _seed(row[self._seed]) if isinstance(self._seed, str) else self._seed
            mel = _array(row[self._mel])
            if self._shape is not None:
                mel = _shaped(mel, row[self._shape])
            mel, _ = _given.floats(mel, "the mel")
            if mel.ndim == 3 and mel.shape[0] == 1:
                mel = mel[0]
            return {**self._output.render(mel, seed, name), "error": ""}
        except AudiodiffError as error:
            return {**self._output.failed(), "error": str(error)}
        except OSError as error:
            # Of a name that is too long for a file's, for instance.
            return {**self._output.failed(), "error": f"the row {_given.shown(name)}: cannot be written ({error.strerror})"}

    def _try(self, options: Mapping[str, Any]) -> None:
        """Renders a moment of noise: a setting that is wrong is said once, not of every row."""
        known = _given.stated(options["convention"]) or self._vocoder._vocoder.convention()
        fields = json.loads(known.json())
        noise = np.random.default_rng(0).normal(0, 0.1, fields["sample_rate"] // 8).astype(np.float32)
        frames, n_mels = _audiodiff.mel(noise, fields["sample_rate"], known)
        mel = frames.reshape(-1, n_mels)
        frames_first = str(options.get("layout", "auto")).startswith("frames")
        self._output.attempt(np.ascontiguousarray(mel if frames_first else mel.T), fields)


def _array(mel: Any) -> Any:
    """Of what Arrow brings: tensors, lists of lists, which NumPy makes arrays of arrays of, flat lists, bytes."""
    if isinstance(mel, (bytes, bytearray, memoryview)):
        return _loaded(bytes(mel))
    if isinstance(mel, list) or getattr(mel, "dtype", None) == object:
        try:
            rows = [np.asarray(row, np.float32) for row in mel]
            return np.stack(rows) if rows else np.zeros(0, np.float32)
        except (TypeError, ValueError) as problem:
            raise MelError(f"the mel: is no array of numbers ({problem}), expected [M, T]") from None
    return mel


def _shaped(mel: Any, shape: Any) -> Any:
    try:
        return np.reshape(mel, [operator.index(axis) for axis in shape])
    except (TypeError, ValueError):
        raise MelError(f"the mel: has {np.size(mel)} numbers, which are not of its shape {_shown(shape)}") from None


def _loaded(data: bytes) -> np.ndarray:
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile) as problem:
        raise MelError(f"the mel: is no .npy or .npz file ({problem})") from None
    if isinstance(found, np.ndarray):
        return found
    with found:
        if len(found.files) != 1:
            raise MelError(f"the mel: is an .npz file of {len(found.files)} arrays, expected one")
        try:
            return found[found.files[0]]
        except (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as problem:
            raise MelError(f"the mel: is an .npz file that cannot be read ({problem})") from None


def _seed(value: Any) -> int:
    """Also the digits of a text file, and whole numbers that Pandas made floats of for a missing one among them."""
    if isinstance(value, (bytes, str)):
        digits = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        value = int(digits) if digits.strip().isdecimal() else value
    elif isinstance(value, (float, np.floating)) and value.is_integer() and abs(value) <= 2**53:
        value = int(value)
    return _given.seed(value)


def _column(values: list[Any]) -> np.ndarray:
    if values and isinstance(values[0], (int, float)):
        return np.array(values)
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _shown(shape: Any) -> str:
    return str(shape.tolist()) if isinstance(shape, np.ndarray) else _given.shown(shape)
