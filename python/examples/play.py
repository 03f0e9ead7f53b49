"""Plays a mel while its frames are still being made, and says how soon its sound was there.

    python python/examples/play.py samples/mels/speech-en.npy                 # by vocoder.stream, through sounddevice
    python python/examples/play.py samples/mels/speech-en.npy --to program    # frames into audiodiff play -
    python python/examples/play.py samples/mels/speech-en.npy --to nowhere    # by vocoder.stream, timed alone
    python python/examples/play.py samples/mels/speech-en.npy --to render     # frames into audiodiff render -, timed alone

The frames of the file stand for those of an acoustic model: they come one by one, as many a second as the sound has
(--speed 1), faster (--speed 4), or all at once (--speed 0).
"""
import argparse
import subprocess
import threading
import time

import numpy as np

import audiodiff


class Frames:
    """[M] each, at their time; when the first and the last were given."""

    def __init__(self, mel, per_second):
        self.mel, self.per_second = mel, per_second
        self.first = self.last = None

    def __iter__(self):
        start = time.perf_counter()
        for t, frame in enumerate(self.mel.T):
            if self.per_second:
                time.sleep(max(0.0, start + t / self.per_second - time.perf_counter()))
            self.last = time.perf_counter()
            self.first = self.first or self.last
            yield frame


def chunks(frames, options):
    """[n] each, by the package."""
    vocoder = audiodiff.Vocoder(threads=options.threads)
    # The first call of a process sets up what later ones find.
    for _ in vocoder.stream([frames.mel[:, :32]], convention=options.convention, quality=options.quality):
        pass
    yield from vocoder.stream(frames, convention=options.convention, quality=options.quality, chunk=options.chunk)


def through_program(command, frames, options):
    """[n] each of what the program writes on its standard output, having been given the frames on its input."""
    command = [options.program, *command, "--input-format", "f32le", "--convention", options.convention]
    command += ["--quality", options.quality, "--latency-ms", str(options.latency_ms)]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write():
        for frame in frames:
            program.stdin.write(frame.astype("<f4").tobytes())
            program.stdin.flush()
        program.stdin.close()

    writer = threading.Thread(target=write)
    writer.start()
    while sound := program.stdout.read1():
        yield np.frombuffer(sound[: len(sound) // 2 * 2], "<i2")
    writer.join()
    if program.wait():
        raise SystemExit(f"{options.program} ended with exit code {program.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mel", help=".npy file with [M, T]")
    parser.add_argument("--to", choices=["sounddevice", "program", "nowhere", "render"], default="sounddevice")
    parser.add_argument("--convention", default="f5-tts")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--speed", type=float, default=1.0, help="of the frames, in times real time; 0: all at once")
    parser.add_argument("--chunk", type=int, default=24, help="frames a chunk of vocoder.stream")
    parser.add_argument("--latency-ms", type=int, default=350, help="of the program, which makes its chunk by it")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--program", default="audiodiff", help="the path of the program")
    options = parser.parse_args()

    known = audiodiff.convention(options.convention)
    mel = np.load(options.mel).astype(np.float32)
    mel = mel.reshape(mel.shape[-2:])
    if mel.shape[0] != known["n_mels"]:
        raise SystemExit(f"{options.mel}: has {mel.shape[0]} bands, expected {known['n_mels']} of {options.convention}")
    rate = known["sample_rate"]
    frames = Frames(mel, options.speed * rate / known["hop"])

    play = lambda sound: None
    if options.to == "sounddevice":
        import sounddevice

        device = sounddevice.OutputStream(samplerate=rate, channels=1, dtype="float32", latency="low")
        device.start()
        play = device.write
    if options.to in ("sounddevice", "nowhere"):
        sound = chunks(frames, options)
    else:
        command = ["play", "-"] if options.to == "program" else ["render", "-", "-o", "-", "--format", "pcm16"]
        sound = through_program(command, frames, options)

    first, samples = None, 0
    for chunk in sound:
        first = first or time.perf_counter()
        samples += len(chunk)
        play(chunk)
    if first is None:  # it was heard, not seen
        return
    ends = time.perf_counter()
    print(f"{samples / rate:.1f} s of sound; the first {1000 * (first - frames.first):.0f} ms after the first frame, ", end="")
    print(f"the last {1000 * (ends - frames.last):.0f} ms after the last frame")


if __name__ == "__main__":
    main()
