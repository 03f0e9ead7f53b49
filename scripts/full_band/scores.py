#!/usr/bin/env python3
"""Scores a 44.1 kHz model on clips that it has not heard, beside fast Griffin-Lim with 200 iterations from the same mel.

    pip install numpy soundfile
    python3 scripts/full_band/scores.py AUDIODIFF MODEL FOLDER [--quality standard]

FOLDER holds mono FLAC files at 44.1 kHz whose names begin with their kind and a hyphen. Printed by kind: the distance of
multi-resolution log-mels over all bands, below and above 10 kHz, in nats, and of the envelope in windows of 2 ms, in dB. Both are
level-matched.
"""
import argparse
import collections
import glob
import os
import subprocess
import tempfile

import numpy as np
import soundfile

RATE = 44_100


def hann(n):
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)


def slaney(n_fft, bands):
    """Triangles of area one, [bands, n_fft / 2 + 1], and their centres in Hz."""
    hertz = lambda mel: np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
    top = 15 + np.log(RATE / 2 / 1000) * 27 / np.log(6.4)
    edges, bins = hertz(np.linspace(0, top, bands + 2)), np.arange(n_fft // 2 + 1) * RATE / n_fft
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None], edges[1:-1]


def stft(samples, n_fft, hop):
    padded = np.pad(samples, n_fft // 2, mode="reflect")
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop] * hann(n_fft), axis=1)


def istft(spectrum, n_fft, hop, length):
    frames = np.fft.irfft(spectrum, n_fft, axis=1).astype(np.float32) * hann(n_fft)
    out = np.zeros((len(frames) + n_fft // hop) * hop, np.float32)
    weight = np.zeros_like(out)
    for t, frame in enumerate(frames):
        out[t * hop : t * hop + n_fft] += frame
        weight[t * hop : t * hop + n_fft] += hann(n_fft) ** 2
    return (out / np.maximum(weight, 1e-8))[n_fft // 2 : n_fft // 2 + length]


def griffin_lim(samples, iterations=200):
    """Perraudin, Balazs and Soendergaard 2013, momentum 0.99, on the pseudo-inverse of the mel."""
    filters, _ = slaney(2048, 128)
    length = len(samples) // 512 * 512
    mel = np.maximum(np.abs(stft(samples[:length], 2048, 512)) @ filters.T, 1e-5)
    magnitude = np.maximum(mel @ np.linalg.pinv(filters).T, 1e-5)
    guess = magnitude * np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    before = 0
    for _ in range(iterations):
        now = stft(istft(guess, 2048, 512, length), 2048, 512)
        turned = now - 0.99 / 1.99 * before
        before, guess = now, magnitude * turned / np.maximum(np.abs(turned), 1e-8)
    return istft(guess, 2048, 512, length)


SCALES = [(n, *slaney(n, bands)) for n, bands in [(128, 20), (256, 40), (512, 80), (1024, 120), (2048, 160), (4096, 200)]]


def scores(given, got):
    length = min(len(given), len(got))
    given, got = given[:length], got[:length]
    got = got * np.sqrt((given**2).mean() / ((got**2).mean() + 1e-20))
    mels = lambda x: [np.log(np.maximum(np.abs(stft(x, n, n // 4)) @ filters.T, 1e-5)) for n, filters, _ in SCALES]
    pairs = [(np.abs(a - b), centres) for a, b, (_, _, centres) in zip(mels(given), mels(got), SCALES)]
    part = lambda keep: np.mean([distance[:, keep(centres)].mean() for distance, centres in pairs])
    size = RATE // 500
    level = lambda x: 10 * np.log10((x[: length // size * size].reshape(-1, size) ** 2).mean(1) + 1e-12)
    a, b = level(given), level(got)
    loud = a > a.max() - 40
    return [part(lambda hz: hz >= 0), part(lambda hz: hz < 1e4), part(lambda hz: hz >= 1e4), np.abs(a - b)[loud].mean()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audiodiff")
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--quality", default="standard")
    arguments = parser.parse_args()
    kinds = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.wav")
        for path in sorted(glob.glob(os.path.join(arguments.folder, "*.flac"))):
            given, rate = soundfile.read(path, dtype="float32")
            options = ["-m", arguments.model, "--quality", arguments.quality, "--seed", "1", "--format", "float32", "-y", "-q"]
            subprocess.run([arguments.audiodiff, "render", path, "-o", out, *options], check=True)
            got, got_rate = soundfile.read(out, dtype="float32")
            if rate != RATE or got_rate != RATE:
                raise SystemExit(f"{path}: {rate} Hz rendered at {got_rate}, expected {RATE} both")
            kinds[os.path.basename(path).split("-")[0]].append((scores(given, got), scores(given, griffin_lim(given))))
    kinds["all"] = [pair for pairs in list(kinds.values()) for pair in pairs]
    for kind, pairs in kinds.items():
        row = [f"{name} {' '.join(f'{value:.3f}' for value in means)}" for name, means in zip(("model", "GL200"), np.mean(pairs, 0))]
        print(f"{kind:11s} {len(pairs):3d}  " + "   ".join(row), flush=True)


if __name__ == "__main__":
    main()
