"""Where the sounds of rows go: back into the row, a file each, or Parquet."""
from __future__ import annotations

import hashlib
import importlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from . import _given
from ._keywords import in_keywords
from ._vocoder import Vocoder
from .errors import AudiodiffError, FileError, OutputError, SettingsError

#: What a row becomes: columns beside those that it had. Each kind of output gives every row the same ones.
Made = dict[str, Any]
Write = Callable[[Any], None]


class Columns:
    """The sound stays in its row. The other kinds of output are made of this one."""

    def __init__(self, vocoder: Vocoder, sound: str, options: Mapping[str, Any]) -> None:
        self._vocoder, self._sound, self._options = vocoder, sound, options

    def attempt(self, mel: np.ndarray, fields: Mapping[str, Any]) -> None:
        """Renders a mel of the convention with these fields, and keeps nothing of it."""
        self._vocoder._render(mel, **{**self._options, "convention": fields})

    def look(self) -> None:
        """At what is there, before a batch."""

    def render(self, mel: np.ndarray, seed: int, name: Any) -> Made:
        made, rate, notes = self._made(mel, seed)
        return {self._sound: made, "sample_rate": rate, "warning": _sentences(notes)}

    def _made(self, mel: np.ndarray, seed: int) -> tuple[np.ndarray, int, list[str]]:
        """A row is one mel: of three axes, the first are its channels."""
        return self._vocoder._render(mel, seed=seed, stereo=mel.ndim == 3, **self._options)

    def failed(self) -> Made:
        return {self._sound: np.zeros(0, np.float32), "sample_rate": 0, "warning": ""}

    def finish(self, columns: Mapping[str, Sequence[Any]], rows: list[Made]) -> None:
        """Writes what is kept until the end of a batch."""


class WavFiles(Columns):
    """A file each, by the program's own way: dither, limiter and the record of what it was made of."""

    def __init__(self, vocoder: Vocoder, out_dir: str, root: str | None, existing: str, options: Mapping[str, Any]) -> None:
        super().__init__(vocoder, "", options)
        self._out_dir, self._root, self._existing = out_dir, root, existing
        _make_folder(out_dir)

    def attempt(self, mel: np.ndarray, fields: Mapping[str, Any]) -> None:
        with tempfile.TemporaryDirectory(prefix="audiodiff-") as scratch:
            self._render_file(mel, 0, "noise", Path(scratch, "out"), {**self._options, "convention": fields})

    def render(self, mel: np.ndarray, seed: int, name: Any) -> Made:
        output = self._output(name, ".wav")
        return self._render_file(mel, seed, output.stem, output.parent, self._options, self._existing)

    def failed(self) -> Made:
        return {"output": "", "status": "failed", "seconds": 0.0, "warning": ""}

    def _output(self, name: Any, extension: str) -> Path:
        return Path(self._out_dir, relative(name, self._root) + extension)

    def _render_file(
        self, mel: np.ndarray, seed: int, stem: str, folder: Path, options: Mapping[str, Any], existing: str = "refuse"
    ) -> Made:
        with tempfile.TemporaryDirectory(prefix="audiodiff-") as scratch:
            source = Path(scratch, f"{stem}.npy")
            try:
                np.save(source, mel)
                # An empty manifest has each output asked what it was made of: one of this very mel and settings is done.
                (item,) = self._vocoder.render(
                    source,
                    folder,
                    manifest=Path(scratch, "manifest"),
                    existing=existing,
                    seed=seed,
                    jobs=1,
                    **options,
                )
            except AudiodiffError as problem:
                raise type(problem)(str(problem).replace(f"{scratch}{os.sep}", "")) from None
            if item["status"] == "failed":
                raise AudiodiffError(item["error"].replace(f"{scratch}{os.sep}", ""))
        return {
            "output": item["output"],
            "status": item["status"],
            "seconds": item.get("audio_s", 0.0),
            "warning": _sentences(item.get("warnings", [])),
        }


class FlacFiles(WavFiles):
    """The samples of the WAV files, packed without loss."""

    _SUBTYPES = {"pcm16": ("PCM_16", "int16"), "pcm24": ("PCM_24", "int32")}

    def __init__(self, vocoder: Vocoder, out_dir: str, root: str | None, existing: str, options: Mapping[str, Any]) -> None:
        super().__init__(vocoder, out_dir, root, existing, options)
        self._soundfile = needed("soundfile", 'output="flac"')
        sample_format = options.get("sample_format", "pcm16")
        if sample_format not in self._SUBTYPES:
            raise SettingsError(f'sample_format: is {_given.shown(sample_format)}, expected "pcm16" or "pcm24" for FLAC')
        self._made_of = Fingerprint(vocoder, options)
        self._subtype, self._dtype = self._SUBTYPES[sample_format]

    def render(self, mel: np.ndarray, seed: int, name: Any) -> Made:
        output = self._output(name, ".flac")
        made_of = self._made_of(mel, seed)
        if os.path.exists(output):
            if self._existing == "skip" or self._says(output) == made_of:
                return {**self.failed(), "output": str(output), "status": "skipped"}
            if self._existing == "refuse":
                of = "another mel or other settings"
                raise OutputError(f'{output}: is there already, of {of}; give existing="overwrite" or existing="skip"')
        with tempfile.TemporaryDirectory(prefix="audiodiff-") as scratch:
            made = self._render_file(mel, seed, output.stem, Path(scratch, "out"), self._options)
            samples, rate = self._soundfile.read(made["output"], dtype=self._dtype, always_2d=True)
        _make_folder(output.parent)
        write_whole(output, lambda file: self._write(file, samples, rate, made_of))
        return {**made, "output": str(output)}

    def _write(self, file: Any, samples: np.ndarray, rate: int, made_of: str) -> None:
        channels = samples.shape[1]
        with self._soundfile.SoundFile(file, "w", rate, channels, self._subtype, format="FLAC") as flac:
            flac.comment = made_of
            flac.write(samples)

    def _says(self, path: Path) -> str | None:
        try:
            with self._soundfile.SoundFile(path) as flac:
                return flac.comment
        except (OSError, RuntimeError):
            return None


class ParquetParts(Columns):
    """A Parquet file for each batch, with the rows that were made of it."""

    def __init__(
        self, vocoder: Vocoder, out_dir: str, columns: tuple[str, str, str], existing: str, options: Mapping[str, Any]
    ) -> None:
        self._arrow, self._parquet = (needed(module, 'output="parquet"') for module in ("pyarrow", "pyarrow.parquet"))
        if existing == "overwrite":
            raise SettingsError('existing: is "overwrite", which Parquet cannot do row by row; name another out_dir')
        self._mel, self._name, sound = columns
        super().__init__(vocoder, sound, options)
        self._out_dir, self._existing, self._made_of = out_dir, existing, Fingerprint(vocoder, options)
        _make_folder(out_dir)
        # Of the parts that were looked at, each row's name, with what it was made of and the part; and of this batch.
        self._there: dict[str, tuple[str, str]] = {}
        self._pending: dict[str, tuple[str, str]] = {}
        self._looked_at: set[str] = set()
        self.look()

    def render(self, mel: np.ndarray, seed: int, name: Any) -> Made:
        name, made_of = text_of(name), self._made_of(mel, seed)
        there = self._there.get(name) or self._pending.get(name)
        if there is not None:
            before, part = there
            if self._existing == "refuse" and before != made_of:
                where = part or "this batch"
                of = "another mel or other settings"
                raise OutputError(f'{name}: is in {where} already, of {of}; give existing="skip" or another out_dir')
            return {**self.failed(), "output": part, "status": "skipped"}
        sound, rate, notes = self._made(mel, seed)
        self._pending[name] = (made_of, "")
        row = {"output": "", "status": "done", "seconds": sound.shape[-1] / rate, "warning": _sentences(notes)}
        return {**row, "_kept": (name, made_of, sound, rate)}

    def failed(self) -> Made:
        return {"output": "", "status": "failed", "seconds": 0.0, "warning": ""}

    def finish(self, columns: Mapping[str, Sequence[Any]], rows: list[Made]) -> None:
        """Writes what was made of a batch, and says in each row where it lies."""
        self._pending.clear()
        kept = {i: row.pop("_kept") for i, row in enumerate(rows) if "_kept" in row}
        if not kept:
            return
        try:
            part = self._write(columns, kept, [rows[i]["warning"] for i in kept])
            now = {"output": part}
        except FileError as problem:
            now = {**self.failed(), "error": str(problem)}
        for row in rows:
            # Skipped without a part: it stood twice in the batch.
            if row["status"] != "failed" and not row["output"]:
                row.update(now)

    def _write(self, columns: Mapping[str, Sequence[Any]], kept: dict[int, Any], warnings: list[str]) -> str:
        arrow = self._arrow
        names, made_of, sounds, rates = zip(*kept.values())
        table = {
            column: self._array(column, [values[i] for i in kept])
            for column, values in columns.items()
            if column not in (self._mel, self._sound)
        }
        ends = np.cumsum([0, *(sound.size for sound in sounds)])
        samples = np.concatenate([sound.reshape(-1) for sound in sounds])
        table |= {
            self._name: arrow.array(names),
            self._sound: arrow.LargeListArray.from_arrays(arrow.array(ends, arrow.int64()), arrow.array(samples)),
            "channels": arrow.array([sound.size // sound.shape[-1] for sound in sounds], arrow.int8()),
            "sample_rate": arrow.array(rates, arrow.int32()),
            "warning": arrow.array(warnings),
            "made_of": arrow.array(made_of),
        }
        # Named by its rows: a batch that is made again, its actor having died after it wrote it, takes that file's place.
        digest = hashlib.sha256("\0".join(names + made_of).encode()).hexdigest()
        part = Path(self._out_dir, f"part-{digest[:32]}.parquet")
        write_whole(part, lambda file: self._parquet.write_table(arrow.table(table), file))
        self._looked_at.add(part.name)
        self._there.update((name, (made, str(part))) for name, made in zip(names, made_of))
        return str(part)

    def _array(self, column: str, values: list[Any]) -> Any:
        try:
            return self._arrow.array([value.tolist() if isinstance(value, np.ndarray) else value for value in values])
        except (self._arrow.ArrowException, TypeError, ValueError) as problem:
            raise SettingsError(f"column {column}: cannot be kept in Parquet ({problem}); leave it out with drop_columns") from None

    def look(self) -> None:
        """At what other actors have written since: one that died may have written the batch that comes now."""
        try:
            there = sorted(os.listdir(self._out_dir))
        except OSError as problem:
            raise FileError(f"{self._out_dir}: cannot be read ({problem.strerror})") from None
        for file in there:
            if file in self._looked_at or file.startswith(".") or not file.endswith(".parquet"):
                continue
            path = os.path.join(self._out_dir, file)
            try:
                rows = self._parquet.read_table(path, columns=[self._name, "made_of"]).to_pydict()
                found = {name: (made_of, path) for name, made_of in zip(rows[self._name], rows["made_of"])}
            except (OSError, KeyError, self._arrow.ArrowException):
                wanted = f"a Parquet file with the columns {self._name} and made_of"
                raise FileError(f"{path}: was not written by this class, expected {wanted}; use another out_dir") from None
            self._looked_at.add(file)
            self._there.update(found)


class Fingerprint:
    """Hexadecimal digits that differ where the mel, the seed, the model or a setting does."""

    def __init__(self, vocoder: Vocoder, options: Mapping[str, Any]) -> None:
        options = dict(options)
        known = _given.stated(options.pop("convention"))
        recipe = [vocoder.identity, known and json.loads(known.json()), options]
        self._recipe = json.dumps(recipe, sort_keys=True, default=lambda value: dict(value) if isinstance(value, Mapping) else str(value))

    def __call__(self, mel: np.ndarray, seed: int) -> str:
        digest = hashlib.sha256(f"{self._recipe} {mel.shape} {seed} ".encode())
        digest.update(np.ascontiguousarray(mel, "<f4").data)
        return digest.hexdigest()


def relative(name: Any, root: str | None) -> str:
    """The path, without its extension, of an output below its folder."""
    given = name = text_of(name)
    if root is not None:
        below = root.rstrip("/") + "/"
        if not name.startswith(below):
            raise SettingsError(f"the name {_given.shown(given)}: does not lie below root={root!r}")
        name = name[len(below) :]
    path = PurePosixPath(name)
    if path.suffix in (".npy", ".npz"):
        path = path.with_suffix("")
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise SettingsError(f"the name {_given.shown(given)}: cannot be a file's below out_dir")
    return str(path)


def text_of(name: Any) -> str:
    if isinstance(name, (int, np.integer)) and not isinstance(name, bool):
        return str(name)
    if not isinstance(name, str) or not name:
        raise SettingsError(f"the name {_given.shown(name)}: is none, expected text or a whole number")
    return str(name)


def write_whole(path: Path, write: Write) -> None:
    """All of it or nothing: under another name, synced and renamed. A symbolic link stays one."""
    path = Path(os.path.realpath(path))
    # A name that begins with a dot is no part of the data set to those who read the folder meanwhile.
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(draft, "x+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        os.replace(draft, path)
    except OSError as problem:
        raise FileError(f"{path}: cannot be written ({problem.strerror or problem})") from None
    finally:
        draft.unlink(missing_ok=True)


def needed(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise SettingsError(f"{what}: needs the package {package}; install it with pip install {package}") from None


def _make_folder(path: str | Path) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as problem:
        raise FileError(f"{path}: cannot be made ({problem.strerror})") from None


def _sentences(notes: Sequence[str]) -> str:
    return "; ".join(in_keywords(note) for note in notes)
