"""The example for Slurm arrays, as Slurm would start each of its tasks."""
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from test_program import PROGRAM, program_renders

SCRIPT = REPOSITORY / "examples/slurm/render.sbatch"


def task(number, *arguments, shards=3, code=0):
    slurm = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_CPUS_PER_TASK": "1"}
    environment = {**os.environ, **slurm, "SHARDS": str(shards), "AUDIODIFF": str(PROGRAM)}
    run = subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == code, run.stderr
    return run


@pytest.fixture()
def names(mel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mels/sub").mkdir(parents=True)
    names = [f"{'sub/' * (i % 2)}{i}" for i in range(6)]
    for i, name in enumerate(names):
        np.save(f"mels/{name}.npy", mel[:, i : i + 20])
    return names


def manifest(shard, shards=3):
    return [json.loads(line) for line in Path(f"wavs/manifests/{shard}-of-{shards}.jsonl").read_text().splitlines()]


def test_the_tasks_of_an_array_share_a_folder_and_go_on_where_they_were(names):
    options = ["mels", "wavs", "--quality", "draft", "--convention", "f5-tts", "--device", "cpu"]
    tasks = (1, 2, 3)
    for number in tasks:
        task(number, *options)
    shares = [{Path(line["input"]).relative_to("mels").with_suffix("") for line in manifest(number)} for number in tasks]
    assert sum(map(len, shares)) == len(names) and set.union(*shares) == {Path(name) for name in names}
    program_renders("mels", "-o", "one", "--convention", "f5-tts")
    for name in names:
        assert Path(f"wavs/{name}.wav").read_bytes() == Path(f"one/{name}.wav").read_bytes()

    # Again, as sbatch --array=N does it: what is gone is made, the rest is left.
    number = next(number for number in tasks if shares[number - 1])
    before = {path: path.stat().st_mtime_ns for path in Path("wavs").rglob("*.wav")}
    gone = Path("wavs", shares[number - 1].pop()).with_suffix(".wav")
    gone.unlink()
    task(number, *options)
    after = {path: path.stat().st_mtime_ns for path in Path("wavs").rglob("*.wav")}
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path]} == {gone}

    # Other shards find what these have made, and other settings are not mixed with it unasked.
    task(1, *options, shards=1)
    assert {path: path.stat().st_mtime_ns for path in Path("wavs").rglob("*.wav")} == after
    assert "there already" in task(number, *options, "--seed", "5", code=1).stderr


def test_what_fails_is_in_the_manifest_and_what_is_missing_is_said(mel, names):
    Path("mels/0.npy").write_bytes(b"broken")
    task(1, "mels", "wavs", "--quality", "draft", "--convention", "f5-tts", shards=1, code=3)
    (failed,) = [line for line in manifest(1, 1) if line["status"] == "failed"]
    assert failed["input"].endswith("0.npy") and failed["error"]
    assert "usage" in task(1, "mels", code=2).stderr
    bare = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
    run = subprocess.run(["bash", SCRIPT, "mels", "wavs"], capture_output=True, text=True, env=bare)
    assert run.returncode != 0 and "SLURM_ARRAY_TASK_ID" in run.stderr
