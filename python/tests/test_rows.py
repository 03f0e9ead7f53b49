"""The class for engines, called as one does: what becomes of rows, in files and in columns. Without an engine."""
import io
import os
import zipfile
from pathlib import Path

import audiodiff
import audiodiff.ray
import numpy as np
import pytest
from test_program import float_samples, program_renders

SETTINGS = {"convention": "f5-tts", "quality": "draft", "precision": "f32", "device": "cpu", "threads": 1}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture()
def mels(mel):
    """Three of different lengths, named a, b and c, the last of which cannot be rendered; seeds 1, 2 and 3."""
    broken = mel[:, :20].copy()
    broken[7, 3] = np.nan
    return batch_of([mel[:, :40], mel[:, :30], broken])


def Render(*model, **options):
    """With an output folder of this test's."""
    if options.get("out_dir"):
        options["out_dir"] = os.path.abspath(options["out_dir"])
    return audiodiff.ray.Render(*model, **options)


def batch_of(mels, names="abc", seeds=(1, 2, 3)):
    column = np.empty(len(mels), object)
    column[:] = mels
    return {"name": np.array([*names[: len(mels)]], object), "mel": column, "seed": np.array(seeds[: len(mels)])}


def rows(batch):
    assert len({len(column) for column in batch.values()}) == 1
    return [dict(zip(batch, values)) for values in zip(*batch.values())]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_rows_are_rendered_as_single_calls_are_and_bad_ones_kept(render, mel, mels):
    out = rows(Render(seed="seed", **SETTINGS)({**mels, "id": ["x", "y", "z"]}))
    assert np.array_equal(out[0]["sound"], render(mel[:, :40], seed=1))
    assert np.array_equal(out[1]["sound"], render(mel[:, :30], seed=2))
    assert [(row["id"], row["sample_rate"]) for row in out] == [("x", 24_000), ("y", 24_000), ("z", 0)]
    assert [row["error"] for row in out[:2]] == ["", ""]
    assert "NaN" in out[2]["error"] and out[2]["sound"].size == 0


@pytest.mark.parametrize(
    "given, options",
    [
        (lambda mel: mel.astype(np.float64), {}),
        (lambda mel: mel.tolist(), {}),
        (lambda mel: np.array([*map(list, mel), None], object)[:-1], {}),
        (lambda mel: mel.reshape(-1), {"shape": "shape"}),
        (lambda mel: mel.reshape(-1).tolist(), {"shape": "shape"}),
        (lambda mel: mel[np.newaxis], {}),
        (npy, {}),
        (lambda mel: npz(whatever=mel), {}),
        (lambda mel: npy(mel.T), {"layout": "frames_first"}),
    ],
    ids=["array", "lists", "objects", "flat", "flat list", "one of a batch", "npy", "npz", "npy, frames first"],
)
def test_a_mel_may_come_in_every_form_in_which_engines_bring_it(render, mel, given, options):
    column = np.empty(1, object)
    column[0] = given(mel)
    shapes = np.empty(1, object)
    shapes[0] = np.array([100, 48])
    (row,) = rows(Render(seed=5, **options, **SETTINGS)({"mel": column, "shape": shapes}))
    assert row["error"] == "" and np.array_equal(row["sound"], render(mel, seed=5))


def test_mels_of_one_shape_may_come_as_one_array(render, mel):
    out = Render(**SETTINGS)({"mel": np.stack([mel, mel[:, ::-1]])})
    assert np.array_equal(out["sound"][1], render(mel[:, ::-1]))


@pytest.mark.parametrize(
    "given, error",
    [
        (None, "of type NoneType"),
        ("text", "of type str"),
        (b"", "is no .npy or .npz file"),
        (b"\x93NUMPY\x01\x00", "is no .npy or .npz file"),
        (npy(np.zeros((100, 9), np.float32))[:-5], "is no .npy or .npz file"),
        (npz(a=np.zeros(2), b=np.zeros(2)), "2 arrays"),
        (npz(a=np.zeros((100, 9), np.float32))[:-200], "is no .npy or .npz file"),
        ([[1.0, 2.0], [3.0]], "no array of numbers"),
        ([["x"]], "no array of numbers"),
        ([], "shape [0]"),
        (np.zeros((100, 9), np.int32), "of int32"),
        (np.zeros(900, np.float32), "shape [900], expected [M, T]"),
        (np.zeros((3, 100, 9), np.float32), "shape [3, 100, 9]"),
    ],
)
def test_what_is_no_mel_fails_its_row_alone(mel, given, error):
    column = np.empty(2, object)
    column[0], column[1] = given, mel
    bad, good = rows(Render(**SETTINGS)({"mel": column}))
    assert error in bad["error"] and bad["sound"].size == 0
    assert good["error"] == "" and good["sound"].size > 0


def test_an_object_in_a_file_is_not_unpickled():
    file = io.BytesIO()
    np.save(file, np.array([open], object), allow_pickle=True)
    (row,) = rows(Render(**SETTINGS)({"mel": [file.getvalue()]}))
    assert "is no .npy or .npz file" in row["error"]


def test_a_damaged_archive_fails_its_row():
    data = bytearray(npz(mel=np.random.default_rng(0).normal(size=(100, 9)).astype(np.float32)))
    data[400] ^= 0xFF
    with pytest.raises(zipfile.BadZipFile):
        np.load(io.BytesIO(bytes(data)))["mel"]
    (row,) = rows(Render(**SETTINGS)({"mel": [bytes(data)]}))
    assert "cannot be read" in row["error"]


def test_a_shape_that_does_not_fit_fails_its_row(mel):
    out = Render(shape="shape", **SETTINGS)({"mel": [mel.reshape(-1)] * 3, "shape": [np.array([100, 47]), None, "ab"]})
    assert out["error"][0] == "the mel: has 4800 numbers, which are not of its shape [100, 47]"
    assert "shape None" in out["error"][1] and "shape 'ab'" in out["error"][2]


@pytest.mark.parametrize("given, seed", [(7, 7), (7.0, 7), ("7", 7), (b"7\n", 7), (np.uint64(2**64 - 1), 2**64 - 1)])
def test_a_seed_may_be_digits(render, mel, given, seed):
    (row,) = rows(Render(seed="seed", **SETTINGS)({"mel": [mel[:, :30]], "seed": [given]}))
    assert row["error"] == "" and np.array_equal(row["sound"], render(mel[:, :30], seed=seed))


@pytest.mark.parametrize("given", [None, -1, 7.5, float("nan"), "x", b"\xff", 2**64, True])
def test_what_is_no_seed_fails_its_row(mel, given):
    (row,) = rows(Render(seed="seed", **SETTINGS)({"mel": [mel[:, :30]], "seed": [given]}))
    assert row["error"].startswith("seed: is ")


@pytest.mark.parametrize(
    "options, error",
    [
        ({"quality": "good"}, "quality"),
        ({"effort": {"steps": 900}}, "steps"),
        ({"convention": "f5"[:1]}, "f"),
        ({"layout": "sideways"}, "layout"),
        ({"rate": 3}, "rate"),
        ({"seed": -1}, "seed"),
        ({"quack": 1}, "quack: is no option of rendering"),
        ({"peaks": "clip"}, "peaks: is no option of rendering without WAV or FLAC files"),
        ({"out_dir": "out", "output": "parquet", "peaks": "clip"}, "without WAV or FLAC files"),
        ({"out_dir": "out", "output": "mp3"}, 'output: is \'mp3\', expected "wav", "flac" or "parquet"'),
        ({"out_dir": "out", "existing": "burn"}, "existing"),
        ({"out_dir": "out", "sample_format": "pcm8"}, "sample_format"),
        ({"out_dir": ""}, "out_dir"),
        ({"model": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_a_setting_that_is_wrong_for_all_rows_is_said_when_the_actor_starts(options, error):
    with pytest.raises(audiodiff.AudiodiffError) as raised:
        Render(**{**SETTINGS, **options})
    assert error in str(raised.value) and "\n" not in str(raised.value)
    assert not any(file.is_file() for file in Path(".").rglob("*"))


def test_a_folder_is_named_by_its_whole_path():
    with pytest.raises(audiodiff.SettingsError, match="out_dir: is 'out', expected a whole path"):
        audiodiff.ray.Render(out_dir="out", **SETTINGS)


def test_columns_that_are_not_there_are_said(mels, tmp_path):
    for options in ({"mel": "x"}, {"seed": "x"}, {"shape": "x"}, {"out_dir": tmp_path / "out", "name": "x"}):
        with pytest.raises(audiodiff.SettingsError, match="column x: is not there, expected one of name, mel, seed"):
            Render(**options, **SETTINGS)(mels)
    Render(name="x", **SETTINGS)  # names are asked for where there are files


def test_files_are_the_programs(mel, mels):
    out = rows(Render(out_dir="own", seed="seed", **SETTINGS)(mels))
    assert [row["status"] for row in out] == ["done", "done", "failed"]
    assert [os.path.relpath(row["output"]) for row in out[:2]] == ["own/a.wav", "own/b.wav"] and out[2]["output"] == ""
    assert out[2]["error"].startswith("c.npy: ") and "NaN" in out[2]["error"]
    assert "mel" not in out[0] and out[0]["seconds"] == pytest.approx(39 * 256 / 24_000)
    np.save("a.npy", mel[:, :40])
    program_renders("a.npy", "-o", "its", "--seed", 1, "--convention", "f5-tts")
    # Dither and record included: it was made of the same bytes.
    assert Path("own/a.wav").read_bytes() == Path("its/a.wav").read_bytes()
    assert sorted(os.listdir("own")) == ["a.wav", "b.wav"]


def test_flac_holds_the_samples_of_the_wav_files(mels):
    soundfile = pytest.importorskip("soundfile")
    for sample_format, dtype in (("pcm16", "int16"), ("pcm24", "int32")):
        options = {"seed": "seed", "sample_format": sample_format, **SETTINGS}
        Render(out_dir=f"{sample_format}-wav", **options)(mels)
        flac = rows(Render(out_dir=sample_format, output="flac", **options)(mels))
        assert [row["status"] for row in flac] == ["done", "done", "failed"]
        for name in "ab":
            wav, rate = soundfile.read(f"{sample_format}-wav/{name}.wav", dtype=dtype)
            packed, packed_rate = soundfile.read(f"{sample_format}/{name}.flac", dtype=dtype)
            assert rate == packed_rate == 24_000 and np.array_equal(wav, packed)
            assert soundfile.info(f"{sample_format}/{name}.flac").subtype == f"PCM_{sample_format[3:]}"
        assert sorted(os.listdir(sample_format)) == ["a.flac", "b.flac"]
    with pytest.raises(audiodiff.SettingsError, match="float32"):
        Render(out_dir="x", output="flac", sample_format="float32", **SETTINGS)


def test_parquet_holds_the_rows_that_were_made(render, mel, mels):
    parquet = pytest.importorskip("pyarrow.parquet")
    actor = Render(out_dir="out", output="parquet", seed="seed", **SETTINGS)
    out = rows(actor({**mels, "text": np.array(["one", None, "three"], object)}))
    assert [row["status"] for row in out] == ["done", "done", "failed"] and "NaN" in out[2]["error"]
    assert out[0]["output"] == out[1]["output"] and out[2]["output"] == ""
    assert out[0]["seconds"] == pytest.approx(39 * 256 / 24_000)
    table = parquet.read_table(out[0]["output"])
    assert table["name"].to_pylist() == ["a", "b"] and table["text"].to_pylist() == ["one", None]
    assert table["sample_rate"].to_pylist() == [24_000] * 2 and table["channels"].to_pylist() == [1, 1]
    assert "mel" not in table.column_names
    sounds = [np.array(sound, np.float32) for sound in table["sound"].to_pylist()]
    assert np.array_equal(sounds[0], render(mel[:, :40], seed=1)) and np.array_equal(sounds[1], render(mel[:, :30], seed=2))


def test_two_channels_are_two(vocoder, render, mel):
    parquet = pytest.importorskip("pyarrow.parquet")
    pair = np.stack([mel[:, :30], mel[:, 30:0:-1]])
    both = {"mel": [pair], "name": ["pair"]}
    wanted = render(pair, stereo=True)
    assert np.array_equal(Render(**SETTINGS)(both)["sound"][0], wanted)
    (row,) = rows(Render(out_dir="parquet", output="parquet", **SETTINGS)(both))
    kept = parquet.read_table(row["output"])
    assert kept["channels"].to_pylist() == [2]
    assert np.array_equal(np.array(kept["sound"][0].as_py(), np.float32).reshape(2, -1), wanted)
    (row,) = rows(Render(out_dir="wav", sample_format="float32", **SETTINGS)(both))
    assert np.array_equal(float_samples(row["output"]).reshape(-1, 2).T, wanted)


OUTPUTS = [
    pytest.param({"output": "wav"}, id="wav"),
    pytest.param({"output": "flac"}, id="flac"),
    pytest.param({"output": "parquet"}, id="parquet"),
]


def files(folder):
    """What lies there, and since when."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(folder).iterdir()}


@pytest.fixture(params=OUTPUTS)
def kind(request):
    pytest.importorskip({"flac": "soundfile", "parquet": "pyarrow"}.get(request.param["output"], "os"))
    # What is tested with it is the same with the network, which takes longer.
    return {"model": "griffin-lim", "out_dir": "out", "seed": "seed", **request.param, **SETTINGS}


def test_what_is_there_is_done_and_what_failed_is_tried_again(kind, mel, mels):
    Render(**kind)(mels)
    before = files("out")
    mended = batch_of([*mels["mel"][:2], mel[:, :20]])
    again = rows(Render(**kind)(mended))  # another actor
    assert [row["status"] for row in again] == ["skipped", "skipped", "done"]
    assert all(row["error"] == "" and Path(row["output"]).exists() for row in again)
    assert {name: files("out")[name] for name in before} == before


def test_what_an_actor_wrote_before_it_died_is_found_by_those_that_were_there_already(kind, mels):
    one, other = Render(**kind), Render(**kind)
    made, before = rows(one(mels)), files("out")
    found = rows(other(mels))
    assert [row["status"] for row in found] == ["skipped", "skipped", "failed"]
    assert [row["output"] for row in found] == [row["output"] for row in made]
    assert files("out") == before


@pytest.mark.parametrize("changed", [{"seed": 9}, {"quality": "standard"}, {"rate": 16_000}])
def test_what_was_made_otherwise_is_not_taken_for_done(kind, mels, changed):
    Render(**kind)(mels)
    before = files("out")
    other = {**kind, **changed}
    refused = rows(Render(**other)(mels))
    assert [row["status"] for row in refused] == ["failed"] * 3
    assert all("already" in row["error"] and "existing=" in row["error"] for row in refused[:2])
    assert [row["status"] for row in rows(Render(existing="skip", **other)(mels))] == ["skipped", "skipped", "failed"]
    assert files("out") == before
    if kind["output"] == "parquet":
        with pytest.raises(audiodiff.SettingsError, match="another out_dir"):
            Render(existing="overwrite", **other)
    else:
        done = rows(Render(existing="overwrite", **other)(mels))
        assert [row["status"] for row in done] == ["done", "done", "failed"]
        assert all(files("out")[name][0] != before[name][0] for name in before)


def test_two_mels_of_one_name_are_not_taken_for_each_other(kind, mel):
    batch = batch_of([mel[:, :30], mel[:, 5:35], mel[:, :30]], names="aaa", seeds=(1, 1, 1))
    out = rows(Render(**kind)(batch))
    assert [row["status"] for row in out] == ["done", "failed", "skipped"]
    assert "already" in out[1]["error"] and out[2]["output"] == out[0]["output"]
    assert len(os.listdir("out")) == 1


def test_a_file_that_was_cut_off_is_not_taken_for_done(kind, mels):
    if kind["output"] == "parquet":
        pytest.skip("such a file is refused as a whole, below")
    (first, *_) = rows(Render(**kind)(mels))
    path = Path(first["output"])
    path.write_bytes(path.read_bytes()[:-2000] if kind["output"] == "wav" else b"")
    assert rows(Render(**kind)(mels))[0]["status"] == "failed"
    assert rows(Render(existing="overwrite", **kind)(mels))[0]["status"] == "done"


def test_a_folder_of_other_parquet_files_is_refused():
    pytest.importorskip("pyarrow")
    Path("out").mkdir()
    Path("out/mine.parquet").write_bytes(b"PAR1")
    with pytest.raises(audiodiff.FileError, match="mine.parquet: was not written by this class"):
        Render(out_dir="out", output="parquet", **SETTINGS)


def test_names_lead_to_folders_and_nowhere_else(kind, mel):
    def one(name, **options):
        (row,) = rows(Render(**{**kind, **options})({"name": [name], "mel": [mel[:, :30]], "seed": [1]}))
        return row

    if kind["output"] == "parquet":
        assert one("x/y.1")["status"] == "done" and one(17)["status"] == "done" and one("../x")["status"] == "done"
        assert len(os.listdir("out")) == 3
    else:
        end = kind["output"]
        assert os.path.relpath(one("x/y.1")["output"]) == f"out/x/y.1.{end}"
        assert os.path.relpath(one(17)["output"]) == f"out/17.{end}"
        assert os.path.relpath(one("/in/x/z.npy", root="/in/")["output"]) == f"out/x/z.{end}"
        for name in ("../x", "x/../../y", ".", "/", "a\0b"):
            row = one(name, root=None if name != "/" else "/in")
            assert row["status"] == "failed" and row["error"].startswith("the name "), row
        assert "below root=" in one("/elsewhere/x.npy", root="/in")["error"]
        with pytest.raises(audiodiff.SettingsError, match="column name: has whole paths, expected root="):
            one("/in/x.npy")
        assert "x" * 30 in one("x" * 300)["error"]
    for name in (None, "", 1.5, True):
        assert one(name)["error"].startswith("the name ")
    assert not Path("x.wav").exists() and not Path("x.flac").exists()


def test_a_disk_that_takes_nothing_fails_the_rows(kind, mels):
    actor = Render(**kind)
    Path("out").rmdir()
    Path("out").write_bytes(b"")  # not without its rights: root may write into every folder
    if kind["output"] == "parquet":
        with pytest.raises(audiodiff.FileError, match="out: cannot be read"):
            actor(mels)
    else:
        out = rows(actor(mels))
        assert [row["status"] for row in out] == ["failed"] * 3 and all(row["error"] for row in out)


def test_a_part_that_cannot_be_written_fails_its_rows(mels, monkeypatch):
    pytest.importorskip("pyarrow")
    actor = Render("griffin-lim", out_dir="out", output="parquet", **SETTINGS)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        out = rows(actor(mels))
    assert [row["status"] for row in out] == ["failed"] * 3
    assert "No space left on device" in out[0]["error"] and os.listdir("out") == []
    assert [row["status"] for row in rows(actor(mels))] == ["done", "done", "failed"]


def test_what_is_assumed_is_said_in_its_row(mel):
    for options in ({}, {"out_dir": "out"}):
        (row,) = rows(Render(**{**SETTINGS, **options, "convention": "auto"})({"mel": [mel], "name": ["a"]}))
        assert 'convention="f5-tts"' in row["warning"] and row["error"] == ""
