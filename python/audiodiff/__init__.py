"""audiodiff: a diffusion vocoder. Mel spectrograms become waveforms.

    >>> vocoder = audiodiff.Vocoder()
    >>> sound = vocoder(mel, convention="f5-tts")  # [M, T] of numpy or torch -> [n] of the same kind

Letters in shapes: B batch, M mel bands, T mel frames, n audio samples. Rates are in Hz, sound is float32 with full scale at ±1.
"""
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._libtorch import TORCH, load_first

load_first()
try:
    from . import _audiodiff
except ImportError as problem:
    if "libtorch" not in str(problem) and "libc10" not in str(problem):
        raise
    raise ImportError(f"{problem}: audiodiff needs libtorch; install it with pip install 'torch=={TORCH}.*'") from problem

from . import _given
from ._given import ConventionLike
from ._notes import warn
from ._vocoder import Vocoder
from .errors import *  # noqa: F403
from .errors import AudioError
from .errors import __all__ as _errors

if TYPE_CHECKING:
    from ._vocoder import Array

__all__ = ["Vocoder", "convention", "conventions", "mel", "recognise", "score", *_errors]


def conventions() -> dict[str, dict[str, Any]]:
    """The mel conventions that are known by name: name -> fields (``sample_rate`` in Hz, ``n_fft`` and ``hop`` in samples,
    ``n_mels``, ``f_min`` and ``f_max`` in Hz, the logarithm, the floor, ...), in groups of related ones."""
    return {name: json.loads(fields) for name, _, _, fields in _audiodiff.presets()}


def convention(given: ConventionLike) -> dict[str, Any]:
    """The fields of the convention of this name (or another name of it, such as that of the program), or in this file.

    One's own is a preset with other numbers: ``{**audiodiff.convention("f5-tts"), "name": "mine", "floor": 1e-7}``.
    """
    return json.loads(_given.convention(given).json())


def recognise(mel: Array, *, layout: str = "auto", stereo: bool = False) -> dict[str, Any]:
    """The convention of a mel ``[M, T]``, where its numbers prove it or it may well be the model's own (which warns).

    :raises audiodiff.ConventionError: which names those that are possible
    """
    values, _ = _given.floats(mel, "the mel")
    found, notes = _audiodiff.recognise(values, _given.text(layout, "layout"), bool(stereo))
    warn(notes)
    return json.loads(found.json())


def mel(wave: Array, rate: int, convention: ConventionLike = "f5-tts") -> Array:
    """The mel ``[M, T]`` of a waveform ``[n]`` or ``[1, n]`` of any rate in Hz, by a convention: float32, of the same kind."""
    values, back = _given.floats(wave, "the wave", AudioError)
    known = _given.convention(convention)
    frames, n_mels = _audiodiff.mel(_mono(values, "the wave"), _given.rate(rate), known)
    return back(frames.reshape(-1, n_mels).T)


def score(
    recording: Array, rendering: Array, rate: int, *, rendering_rate: int | None = None, metrics: Iterable[str] = ()
) -> dict[str, Any]:
    """How near a rendering is to the recording that it should be, both ``[n]``; a delay between them is taken out.

    :param rate: Hz, of both where `rendering_rate` is ``None``
    `mel_l1` is by f5-tts up to 24 kHz, above by bigvgan-44k-128, centred.

    :param metrics: of ``pesq_wb`` (speech only, 1 to 4.64), ``mel_l1``, ``mr_mel``, ``stft_sc``, ``stft_log``, ``vuv_f1``,
        ``f0_cents``, ``periodicity`` and ``loudness_db``; all of them where empty, which takes seconds for a minute of sound
    :returns: a number for each metric (``None`` where it could not be measured, with the reason in ``problem``), and
        ``seconds``, ``sample_rate``, ``channels``, ``mixed``, ``mel_convention``, ``delay_ms``, ``longer_s``, ``coverage``
    """
    sounds = [
        _mono(_given.floats(sound, name, AudioError)[0], name)
        for sound, name in ((recording, "the recording"), (rendering, "the rendering"))
    ]
    names = [metrics] if isinstance(metrics, str) else _given.iterator(metrics, "metrics", "names")
    rates = (_given.rate(rate), _given.rate(rate if rendering_rate is None else rendering_rate, "rendering_rate"))
    scored = json.loads(_audiodiff.score(*sounds, rates, [_given.text(name, "metrics") for name in names]))
    return {key: value for key, value in scored.items() if key not in ("file", "system")}


def _mono(values: Any, name: str) -> Any:
    if values.ndim == 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 1:
        raise AudioError(f"{name}: has the shape {list(values.shape)}, expected [n], one channel")
    return values
