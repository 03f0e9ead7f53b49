"""Whatever is given, there is one exception in one sentence, and the interpreter lives."""
import faulthandler
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import audiodiff
import numpy as np
import pytest
from audiodiff._keywords import in_keywords
from conftest import REPOSITORY

faulthandler.enable()
PACKAGE = str(Path(audiodiff.__file__).parents[1])

ODD = [
    None, True, 0, -1, 2**80, 1.5, float("nan"), "", "x", "a\0b", "é" * 9, b"mel", b"\xff\xfe", [], [[]], {}, {"a": 1}, (),
    object(), object, print, Path("nowhere.npy"), range(3), 1j, np.float32(2), np.int64(-7), np.zeros(0, np.float32),
    np.zeros((0, 0), np.float32), np.zeros((2, 100, 0), np.float32), np.zeros((0, 100, 9), np.float32),
    np.zeros((100, 9), np.int16), np.zeros((100, 9), complex), np.zeros((100, 9), bool), np.zeros((100, 9), object),
    np.zeros((100, 9), "U3"), np.zeros((100, 9), np.longdouble), np.zeros((1, 1, 1, 1, 1), np.float32),
    np.full((100, 9), np.inf, np.float32), np.full((100, 9), np.nan), np.full((100, 9), 1e300), np.float32(1),
    np.zeros((100, 9), [("a", "f4")]), np.zeros((100, 9), "M8[s]"), np.ma.masked_all((100, 9), np.float32),
    np.broadcast_to(np.float32(7), (3, 100, 9)), np.zeros((100, 1), np.float32), np.zeros((101, 9), np.float32),
]


def one_sentence(error):
    text = str(error)
    assert text and "\n" not in text and " --" not in text and "Traceback" not in text, text
    assert not text.startswith("--") and not text.endswith("."), text


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value).replace("\n", "")[:24])
def test_what_is_no_mel_is_refused(render, value):
    with pytest.raises(audiodiff.AudiodiffError) as raised:
        render(value)
    one_sentence(raised.value)


CALLS = {
    "vocoder": (lambda v, **k: audiodiff.Vocoder(**k), ["model", "device", "precision", "threads"]),
    "call": (
        lambda v, mel, **k: v(mel, **{"convention": "f5-tts", "quality": "draft", **k}),
        ["mel", "convention", "layout", "lengths", "seed", "quality", "effort", "chunk", "extend", "predicted", "rate"],
    ),
    "stereo": (lambda v, mel, **k: v(mel, stereo=True, quality="draft", **k), ["mel", "convention", "layout", "lengths"]),
    "stream": (
        lambda v, mel, **k: list(v.stream(**{"frames": [mel], "quality": "draft", **k})),
        ["frames", "mel", "convention", "layout", "seed", "quality", "effort", "chunk", "extend", "predicted", "rate"],
    ),
    "render": (
        lambda v, **k: v.render(**{"paths": "nowhere.npy", "out_dir": "out", **k}),
        ["paths", "out_dir", "manifest", "existing", "convention", "layout", "tensor", "recordings", "seed", "quality",
         "effort", "chunk", "extend", "predicted", "channels", "sample_format", "peaks", "gain_db", "loudness_lufs", "rate", "jobs"],
    ),
    "mel": (lambda v, wave=np.zeros(3000, np.float32), rate=24_000, **k: audiodiff.mel(wave, rate, **k), ["wave", "rate", "convention"]),
    "convention": (lambda v, given: audiodiff.convention(given), ["given"]),
    "recognise": (lambda v, mel, **k: audiodiff.recognise(mel, **k), ["mel", "layout"]),
    "score": (
        lambda v, recording=np.ones(3000, np.float32), rendering=np.ones(3000, np.float32), rate=24_000, **k:
            audiodiff.score(recording, rendering, rate, **{"metrics": ["mr_mel"], **k}),
        ["recording", "rendering", "rate", "rendering_rate", "metrics"],
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.filterwarnings("ignore::audiodiff.AudiodiffWarning")
def test_wrong_types_anywhere_are_an_exception_or_no_matter(vocoder, mel, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, keywords = CALLS[call]
    choice = random.Random(call)
    tries = [{keyword: value} for keyword in keywords for value in ODD]
    tries += [{k: choice.choice(ODD) for k in choice.sample(keywords, min(2, len(keywords)))} for _ in range(30)]
    for given in tries:
        if "mel" in keywords and "mel" not in given:
            given = {"mel": mel[:, :4], **given}
        if call == "convention" and "given" not in given:
            continue
        # A model is loaded in half a second: what is right is not tried.
        if call == "vocoder" and all(value is None or value is True for value in given.values()):
            continue
        try:
            function(vocoder, **given)
        except audiodiff.AudiodiffError as error:
            one_sentence(error)


def test_a_model_file_that_is_none_and_one_of_another_family(tmp_path):
    file = tmp_path / "m.safetensors"
    file.write_bytes(b"")
    with pytest.raises(audiodiff.ModelError) as raised:
        audiodiff.Vocoder(file)
    one_sentence(raised.value)
    # HiFi-GAN's own names, in a whole safetensors file.
    header = b'{"conv_pre.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(audiodiff.ModelError, match="m.safetensors") as raised:
        audiodiff.Vocoder(str(file))
    one_sentence(raised.value)
    with pytest.raises(audiodiff.FileError):
        audiodiff.Vocoder(tmp_path / "nowhere.safetensors")


def test_classes_are_those_that_python_people_catch():
    assert issubclass(audiodiff.MelError, ValueError) and issubclass(audiodiff.FileError, OSError)
    assert issubclass(audiodiff.OutputError, FileExistsError)


def test_settings_become_keywords():
    wanted = {
        "give `convention` hifigan-22k": 'give convention="hifigan-22k"',
        "name its convention with `convention`": "name its convention with convention",
        "describe its convention in a file and give `convention` FILE": "describe its convention in a file and give convention=FILE",
        "give `layout` bands-first or frames-first": 'give layout="bands_first" or frames_first',
        "leave `layout` out": "leave layout out",
        "give `gain` -3": "give gain_db=-3",
        "say it: `convention` riffusion or `convention` auffusion-picture":
            'say it: convention="riffusion" or convention="auffusion-picture"',
        "x.wav: is there already; give `overwrite` to overwrite it or `skip` to skip it":
            'x.wav: is there already; give existing="overwrite" or existing="skip"',
        "`audiodiff doctor` and `validation.share` stay": "`audiodiff doctor` and `validation.share` stay",
    }
    assert {text: in_keywords(text) for text in wanted} == wanted


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("work", ["vocoder(mel, convention='f5-tts')", "list(vocoder.stream([mel] * 9))", "vocoder.render('m.npy', 'out', convention='f5-tts')"])
def test_ctrl_c_ends_it(work, tmp_path, mel):
    np.save(tmp_path / "m.npy", np.tile(mel, 150))  # minutes
    code = f"""
import audiodiff, numpy as np, faulthandler, signal
faulthandler.enable()
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is not set where the tests run in the background
vocoder = audiodiff.Vocoder(precision="f32", threads=1)
mel = np.load("m.npy")
print("ready", flush=True)
{work}
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    # Far less than the minutes that it would take.
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT or process.returncode == 130, errors
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert not (tmp_path / "out/m.wav").exists()


def test_versions_agree():
    from audiodiff import _audiodiff, _libtorch

    assert _audiodiff.LIBTORCH_VERSION.rsplit(".", 1)[0] == _libtorch.TORCH
    assert f"torch=={_libtorch.TORCH}.*" in (REPOSITORY / "python/pyproject.toml").read_text()


@pytest.mark.parametrize("version", ["2.12.1", "2.130.0"])
def test_another_torch_is_refused_before_it_is_loaded(version, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise RuntimeError('was imported')")
    (tmp_path / "torch-9.dist-info").mkdir()
    (tmp_path / "torch-9.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    run = subprocess.run([sys.executable, "-c", "import audiodiff"], env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), PACKAGE])},
                         capture_output=True, text=True)
    assert f"torch {version} is installed, and audiodiff binds to torch" in run.stderr.splitlines()[-1]
