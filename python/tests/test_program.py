"""The package and the program give the same samples, and read each other's records."""
import json
import os
import subprocess
from pathlib import Path

import audiodiff
import numpy as np
import pytest
from conftest import REPOSITORY

PROGRAM = Path(os.environ.get("AUDIODIFF_PROGRAM", REPOSITORY / "target/debug/audiodiff")).absolute()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def program(*arguments, **options):
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def program_renders(*arguments, **options):
    return program("render", *arguments, "--precision", "f32", "--threads", 1, "--device", "cpu", "--quality", "draft", **options)


def float_samples(path):
    """Of a WAV of float32 samples; the module wave reads whole numbers only."""
    data = Path(path).read_bytes()
    start = data.index(b"data") + 8
    size = int.from_bytes(data[start - 4 : start], "little")
    return np.frombuffer(data[start : start + size], "<f4")


@pytest.mark.parametrize("convention, seed", [("f5-tts", 0), ("f5-tts", 12345), ("hifigan-22k", 7)])
def test_the_same_seed_gives_the_programs_samples(vocoder, mel, convention, seed):
    if convention != "f5-tts":
        wave = vocoder(mel, convention="f5-tts", quality="draft")
        mel = audiodiff.mel(wave, 24_000, convention)
    np.save("x.npy", mel)
    program_renders("x.npy", "-o", "x.wav", "--format", "float32", "--seed", seed, "--convention", convention)
    own = vocoder(mel, convention=convention, quality="draft", seed=seed)
    assert own.dtype == np.float32
    assert np.array_equal(own, float_samples("x.wav"))


def test_the_mel_of_a_wave_is_the_programs(mel, render):
    sound = render(mel)
    np.save("x.npy", mel)
    program_renders("x.npy", "-o", "x.wav", "--format", "float32", "--convention", "f5-tts")
    program("mel", "x.wav", "-o", "mel.npy", "--convention", "hifigan-22k")
    assert np.array_equal(audiodiff.mel(sound, 24_000, "hifigan-22k"), np.load("mel.npy"))


def test_files_are_rendered_as_by_the_program_and_each_goes_on_with_the_others_record(vocoder, mel):
    for name in "ab":
        np.save(f"{name}.npy", mel)
    items = vocoder.render(["a.npy", "b.npy"], "own", manifest="m.jsonl", quality="draft", seed=3, convention="f5-tts")
    assert [item["status"] for item in items] == ["done", "done"]
    assert sorted(Path(item["output"]).name for item in items) == ["a.wav", "b.wav"]
    program_renders("a.npy", "-o", "its.wav", "--seed", 3, "--convention", "f5-tts")
    # Dither included; only the record in the file's metadata may differ in the ways that paths do.
    assert Path("own/a.wav").read_bytes() == Path("its.wav").read_bytes()
    # The program finds all of it done, and so does a second call.
    lines = Path("m.jsonl").read_text().splitlines()
    run = program_renders(
        "a.npy", "b.npy", "-o", "own", "--seed", 3, "--convention", "f5-tts", "--manifest", "m.jsonl", "--json"
    )
    assert [json.loads(line)["status"] for line in run.stdout.splitlines()] == ["skipped", "skipped"]
    again = vocoder.render(["a.npy", "b.npy"], "own", manifest="m.jsonl", quality="draft", seed=3, convention="f5-tts")
    assert [item["status"] for item in again] == ["skipped", "skipped"]
    assert Path("m.jsonl").read_text().splitlines() == lines


def test_a_file_that_fails_stops_no_other_and_nothing_is_overwritten_unasked(vocoder, mel):
    np.save("good.npy", mel)
    broken = mel.copy()
    broken[3, 4] = np.nan
    np.save("bad.npy", broken)
    options = {"quality": "draft", "convention": "f5-tts"}
    items = {Path(item["input"]).stem: item for item in vocoder.render(["bad.npy", "good.npy"], "out", **options)}
    assert items["good"]["status"] == "done"
    assert items["bad"]["status"] == "failed" and "NaN" in items["bad"]["error"]
    with pytest.raises(audiodiff.OutputError, match='existing="overwrite" or existing="skip"'):
        vocoder.render("good.npy", "out", **options)
    (skipped,) = vocoder.render("good.npy", "out", existing="skip", **options)
    assert skipped["status"] == "skipped"
    (done,) = vocoder.render("good.npy", "out", existing="overwrite", **options)
    assert done["status"] == "done"
