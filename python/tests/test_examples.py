"""The examples run as their first lines say."""
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from test_program import PROGRAM


@pytest.mark.parametrize("to", ["nowhere", "render"])
def test_a_mel_is_played_while_it_is_made(mel, tmp_path, to):
    np.save(tmp_path / "mel.npy", mel)
    command = [sys.executable, REPOSITORY / "python/examples/play.py", "mel.npy", "--to", to, "--program", PROGRAM]
    command += ["--quality", "draft", "--threads", "1", "--speed", "20"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"0\.5 s of sound; the first \d+ ms after the first frame, the last \d+ ms after the last frame\n", run.stdout)


def test_another_mel_is_refused_in_a_sentence(mel, tmp_path):
    np.save(tmp_path / "mel.npy", mel[:80])
    command = [sys.executable, REPOSITORY / "python/examples/play.py", "mel.npy", "--to", "nowhere"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1 and run.stderr == "mel.npy: has 80 bands, expected 100 of f5-tts\n"
