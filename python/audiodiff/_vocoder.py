from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import _audiodiff, _given
from ._given import ConventionLike
from ._keywords import in_keywords
from ._notes import warn
from .errors import MelError, SettingsError

if TYPE_CHECKING:
    import torch

    Array = TypeVar("Array", np.ndarray, torch.Tensor)


class Vocoder:
    """A model that makes sound of mels. Loaded once; any number of threads may call it at the same time.

    :param model: ``None`` for the built-in ones, of which mels of 32 kHz and above take ``"builtin-44k"`` and all others
        ``"builtin"``; the name of one of them, the path of a model file, or ``"griffin-lim"``, which needs no network
    :param device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; CUDA wants an installed torch with CUDA
    :param precision: ``"auto"``, ``"f32"`` or ``"bf16"``: the number type of the network's products
    :param threads: threads that share the work of one call; all cores where ``None``
    :raises audiodiff.ModelError: for a file that is no model, or of another family
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        model = "auto" if model is None else _given.path(model, "model")
        device, precision = _given.text(device, "device"), _given.text(precision, "precision")
        threads = _given.whole(_cores() if threads is None else threads, "threads", 1, 1024)
        self._vocoder = _audiodiff.Vocoder(model, device, precision, threads)
        self._settings = (model, device, precision, threads)

    def __call__(
        self,
        mel: Array,
        *,
        convention: ConventionLike = "auto",
        layout: str = "auto",
        stereo: bool = False,
        lengths: Sequence[int] | np.ndarray | torch.Tensor | None = None,
        seed: int | Sequence[int] = 0,
        quality: str = "standard",
        effort: Mapping[str, int] | None = None,
        chunk: int | None = None,
        extend: bool = False,
        predicted: bool = False,
        rate: int | None = None,
    ) -> Array:
        """The sound of a mel, or of each mel of a batch: float32, full scale at ±1, of the kind that `mel` is.

        ==================  ==================  =============================
        `mel`               sound
        ==================  ==================  =============================
        ``[M, T]``          ``[n]``             M mel bands, T frames
        ``[B, M, T]``       ``[B, n]``          a batch
        ``[2, M, T]``       ``[2, n]``          left and right, with ``stereo=True``
        ``[B, 2, M, T]``    ``[B, 2, n]``       a batch of those, with ``stereo=True``
        ==================  ==================  =============================

        The sound has the sample rate of the mel's convention, and as many samples as its framing says, mostly (T - 1) hops.

        :param mel: float16, float32 or float64 (bfloat16 too of torch's), on the CPU
        :param convention: what made the mel: ``"auto"`` (as its numbers prove), a name in :func:`audiodiff.conventions`, the
            path of a file that describes it, or its fields
        :param layout: ``"bands_first"``, ``"frames_first"`` (``[T, M]``), or found by the number of bands
        :param stereo: the axis of 2 before M and T is left and right, not a batch
        :param lengths: frames of each mel of a batch, the rest being padding. Of a shorter one's sound the rest is 0
        :param seed: of the noise; one for all of a batch, or one each. The same seed gives the same sound as the program
        :param quality: ``"draft"``, ``"standard"`` or ``"best"``
        :param effort: entries in place of the quality's, such as ``{"steps": 4}``
        :param chunk: mel frames of the model that are rendered at once; the model's own where ``None``
        :param extend: go on above the mel's highest band, up to the rate's end, with what the model takes for likely; else there is
            nothing
        :param predicted: the mel was predicted by a network: the model makes what that has blurred sharp again, as far as it knows
        :param rate: Hz of the sound, where not that of the convention
        :raises audiodiff.MelError: for what is no mel
        :raises audiodiff.ConventionError: where the numbers contradict the convention, or leave it open
        """
        sound, _, notes = self._render(
            mel,
            convention=convention,
            layout=layout,
            stereo=stereo,
            lengths=lengths,
            seed=seed,
            quality=quality,
            effort=effort,
            chunk=chunk,
            extend=extend,
            predicted=predicted,
            rate=rate,
        )
        warn(notes)
        return sound

    def _render(
        self,
        mel: Any,
        *,
        convention: ConventionLike,
        layout: str = "auto",
        stereo: bool = False,
        lengths: Any = None,
        seed: Any = 0,
        quality: str = "standard",
        effort: Mapping[str, int] | None = None,
        chunk: int | None = None,
        extend: bool = False,
        predicted: bool = False,
        rate: int | None = None,
    ) -> tuple[Any, int, list[str]]:
        """The sound, its rate in Hz, and what is to be said of it."""
        values, back = _given.floats(mel, "the mel")
        single = 3 if stereo else 2
        if values.ndim not in (single, single + 1):
            other = "; a pair of left and right needs stereo=True" if values.ndim == 4 else ""
            wanted = "[2, M, T] or [B, 2, M, T]" if stereo else "[M, T] or [B, M, T]"
            raise MelError(f"the mel: has the shape {list(values.shape)}, expected {wanted}{other}")
        batch = [("the mel", values)]
        if values.ndim > single:
            batch = [(f"the mel [{i}]", one) for i, one in enumerate(values)]
            if not batch:
                raise MelError(f"the mel: is an empty batch of the shape {list(values.shape)}, expected one mel or more")
        known = _given.stated(convention)
        if lengths is not None:
            batch = _cut(batch, lengths, _frames_axis(values, known, _given.text(layout, "layout")))
        sounds, rate, notes = self._vocoder.render(
            batch,
            bool(stereo),
            known,
            _given.text(layout, "layout"),
            _seeds(seed, len(batch)),
            _given.effort(quality, effort, chunk, extend, predicted),
            _given.optional(rate, _given.rate),
        )
        if stereo:
            sounds = [sound.reshape(2, -1) for sound in sounds]
        return back(sounds[0] if values.ndim == single else _padded(sounds)), rate, notes

    def stream(
        self,
        frames: Iterable[Array],
        *,
        convention: ConventionLike = "auto",
        layout: str = "auto",
        seed: int = 0,
        quality: str = "standard",
        effort: Mapping[str, int] | None = None,
        chunk: int | None = None,
        extend: bool = False,
        predicted: bool = False,
        rate: int | None = None,
    ) -> Iterator[Array]:
        """The sound of a mel that is still being made, chunk by chunk: ``[n]`` each, float32, of the kind that the frames are.

        `frames` is asked for more whenever the network needs them, in the thread that asks for the next chunk. The chunks
        together are, sample by sample, what a call with the whole mel gives.

        :param frames: gives ``[M]``, one frame, or ``[M, t]``, any number of frames
        :param convention: as of a call, but ``"auto"`` is the model's own
        :param chunk: mel frames of the model in every chunk: fewer bring the first sound sooner and cost more; the model's own
            where ``None``, of which the first is the shortest: frames that come no faster than they play need a number
        :param extend: go on above the mel's highest band, up to the rate's end, with what the model takes for likely; else there is
            nothing
        :param predicted: the mel was predicted by a network: the model makes what that has blurred sharp again, as far as it knows
        """
        known = _given.stated(convention) or self._vocoder.convention()
        n_mels = json.loads(known.json())["n_mels"]
        kind = _Kind()
        sound = self._vocoder.stream(
            kind.blocks(_given.iterator(frames, "the frames", "mel frames"), n_mels, _frames_first(_given.text(layout, "layout"))),
            known,
            _given.seed(seed),
            _given.effort(quality, effort, chunk, extend, predicted),
            _given.optional(rate, _given.rate),
        )
        return _chunks(sound, kind)

    def render(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        out_dir: str | os.PathLike[str],
        *,
        manifest: str | os.PathLike[str] | None = None,
        existing: str = "refuse",
        convention: ConventionLike = "auto",
        layout: str = "auto",
        tensor: str | None = None,
        recordings: str | os.PathLike[str] | None = None,
        seed: int = 0,
        quality: str = "standard",
        effort: Mapping[str, int] | None = None,
        chunk: int | None = None,
        extend: bool = False,
        predicted: bool = False,
        channels: str = "keep",
        sample_format: str = "pcm16",
        peaks: str = "limit",
        gain_db: float = 0.0,
        loudness_lufs: float | None = None,
        rate: int | None = None,
        jobs: int | None = None,
    ) -> list[dict[str, Any]]:
        """Mel files, recordings and folders of them to WAV files in `out_dir`, as ``audiodiff render`` does it.

        :param manifest: a file that keeps a line of JSON an item; with it a run that broke off goes on where it was. The
            program reads and continues it, and the other way round
        :param existing: ``"refuse"``, ``"skip"`` or ``"overwrite"`` what is there already
        :param tensor: the array of this name where a file holds several
        :param recordings: a recording, or a folder with one of each mel's name: it tells conventions apart
        :param channels: ``"keep"``: two channels of a recording or a mel stay two, or ``"mono"``
        :param sample_format: ``"pcm16"``, ``"pcm24"`` or ``"float32"``
        :param peaks: what is over full scale: ``"limit"`` takes the peaks alone back, ``"lower"`` the whole file, ``"clip"``
            cuts them off
        :param gain_db: dB
        :param loudness_lufs: the loudness to bring each file to (EBU R 128)
        :param jobs: files at the same time; as many as there are cores for
        :returns: for each item ``input``, ``output``, ``status`` (``"done"``, ``"skipped"``, ``"failed"``), and more; a failed
            one has its ``error`` and stops no other
        :raises audiodiff.OutputError: where outputs are there, before anything is rendered
        """
        if isinstance(paths, (str, bytes, os.PathLike)):
            paths = [paths]
        request = {
            "paths": [_given.path(path, "paths") for path in _given.iterator(paths, "paths", "paths")],
            "out_dir": _given.path(out_dir, "out_dir"),
            "manifest": _given.optional(manifest, _given.path, "manifest"),
            "existing": _given.text(existing, "existing"),
            "layout": _given.text(layout, "layout"),
            "tensor": _given.optional(tensor, _given.text, "tensor"),
            "recordings": _given.optional(recordings, _given.path, "recordings"),
            "seed": _given.seed(seed),
            "channels": _given.text(channels, "channels"),
            "sample_format": _given.text(sample_format, "sample_format"),
            "peaks": _given.text(peaks, "peaks"),
            "gain_db": _given.number(gain_db, "gain_db"),
            "loudness_lufs": _given.optional(loudness_lufs, _given.number, "loudness_lufs"),
            "rate": _given.optional(rate, _given.rate),
            "jobs": _given.optional(jobs, _given.whole, "jobs", 1, 1024),
        }
        work = _given.effort(quality, effort, chunk, extend, predicted)
        lines, notes = _audiodiff.render_files(self._vocoder, request, _given.stated(convention), work)
        warn(notes)
        items = [json.loads(line) for line in lines]
        for item in items:
            if "error" in item:
                item["error"] = in_keywords(item["error"])
            if "warnings" in item:
                item["warnings"] = [in_keywords(warning) for warning in item["warnings"]]
        return items

    @property
    def card(self) -> dict[str, Any]:
        """What the model says of itself: name, family, mel, efforts, training, licences.

        Of the two built-in ones the 24 kHz one, here and in the properties below.
        """
        return json.loads(self._vocoder.card())

    @property
    def convention(self) -> dict[str, Any]:
        """The mel that the model was made for; of others it makes its own first."""
        return json.loads(self._vocoder.convention().json())

    @property
    def sample_rate(self) -> int:
        """Hz, of the model's own convention."""
        return self.convention["sample_rate"]

    @property
    def identity(self) -> str:
        """Name and hash of the weights, number type and device: what decides the samples beside mel, seed and quality."""
        return ", ".join(self._vocoder.identity())

    def __repr__(self) -> str:
        return f"<audiodiff.Vocoder {self.identity}, threads={self._vocoder.threads}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # A model is loaded anew in another process.
        return _load, self._settings


def _load(model: str, device: str, precision: str, threads: int) -> Vocoder:
    return Vocoder(model, device=device, precision=precision, threads=threads)


class _Kind:
    """What the last block of a stream was, and its chunks are to be."""

    def __init__(self) -> None:
        self.back = lambda array: array

    def blocks(self, frames: Iterator[Any], n_mels: int, frames_first: bool) -> Iterator[np.ndarray]:
        """[t, M] each."""
        for block in frames:
            values, self.back = _given.floats(block, "the frames")
            if values.ndim == 3 and values.shape[0] == 1:
                values = values[0]
            if values.ndim == 1:
                values = values[np.newaxis, :]
            elif values.ndim == 2 and not frames_first:
                values = values.T
            if values.ndim != 2 or values.shape[1] != n_mels:
                wanted = f"[{n_mels}] or " + (f"[t, {n_mels}]" if frames_first else f"[{n_mels}, t]")
                raise MelError(f"the frames: have the shape {list(np.shape(block))}, expected {wanted}; say convention= or layout=")
            yield np.ascontiguousarray(values)


def _chunks(stream: _audiodiff.Stream, kind: _Kind) -> Iterator[Any]:
    try:
        for sound in stream:
            warn(stream.notes())
            yield kind.back(sound)
        warn(stream.notes())
    finally:
        stream.close()


def _frames_first(layout: str) -> bool:
    if layout not in ("auto", "bands_first", "bands-first", "frames_first", "frames-first"):
        raise SettingsError(f'layout: is {_given.shown(layout)}, expected "auto", "bands_first" or "frames_first"')
    return layout.startswith("frames")


def _frames_axis(values: np.ndarray, convention: _audiodiff.Convention | None, layout: str) -> int:
    """The last, unless it is said, or plain from the number of bands, that it is the one before."""
    if _frames_first(layout):
        return -2
    if layout == "auto" and convention is not None:
        n_mels = json.loads(convention.json())["n_mels"]
        if values.shape[-1] == n_mels != values.shape[-2]:
            return -2
    return -1


def _cut(batch: list[tuple[str, np.ndarray]], lengths: Any, axis: int) -> list[tuple[str, np.ndarray]]:
    """Without the padding."""
    given = [*_given.iterator(lengths, "lengths", "whole numbers")]
    if len(given) != len(batch):
        raise SettingsError(f"lengths: has {len(given)} entries, expected {len(batch)}, one for each mel")
    frames = batch[0][1].shape[axis]
    given = [_given.whole(length, f"lengths[{i}]", 1, frames) for i, length in enumerate(given)]
    return [
        (name, np.ascontiguousarray(mel[..., :length] if axis == -1 else mel[..., :length, :]))
        for (name, mel), length in zip(batch, given)
    ]


def _seeds(seed: Any, count: int) -> list[int]:
    if isinstance(seed, (str, bytes)) or not hasattr(seed, "__len__"):
        return [_given.seed(seed)] * count
    seeds = [_given.seed(one, f"seed[{i}]") for i, one in enumerate(seed)]
    if len(seeds) != count:
        raise SettingsError(f"seed: has {len(seeds)} entries, expected {count}, one for each mel, or a single number")
    return seeds


def _padded(sounds: list[np.ndarray]) -> np.ndarray:
    longest = max(sound.shape[-1] for sound in sounds)
    batch = np.zeros((len(sounds), *sounds[0].shape[:-1], longest), np.float32)
    for row, sound in zip(batch, sounds):
        row[..., : sound.shape[-1]] = sound
    return batch


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
