"""Ray Data on a cluster of two nodes on this machine: readers, actors that die, runs that go on.

Wants ray[data], soundfile too for FLAC: RAY='ray[data]' make python installs them.
"""
import io
import json
import os
import signal
import tarfile
from collections import Counter
from pathlib import Path

import audiodiff
import numpy as np
import pytest
from test_program import float_samples, program_renders

ray = pytest.importorskip("ray", reason="ray is not installed; RAY='ray[data]' make python does it")
pytest.importorskip("pyarrow", reason="pyarrow is not installed; pip install 'ray[data]'")
import ray.cluster_utils  # noqa: E402
import ray.data  # noqa: E402
from audiodiff.ray import Render  # noqa: E402

SETTINGS = {"convention": "f5-tts", "quality": "draft", "precision": "f32", "device": "cpu", "threads": 1}
COUNT = 24
BAD = 5


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of two places each. What this machine has does not matter: places are only counted."""
    # Ray's workers yield to everything else; on a machine that is busy they would hardly run.
    os.environ["RAY_worker_niceness"] = "0"
    node = {"num_cpus": 2, "object_store_memory": 100 * 2**20}
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    assert len(ray.nodes()) == 2
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, cluster):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def mels(request):
    """Names, mels of lengths of their own, seeds; one of the mels is no mel."""
    mel = request.getfixturevalue("mel")
    made = {f"set{i % 3}/{i:02}": (np.ascontiguousarray(mel[:, i % 8 : i % 8 + 12 + i]), 100 + i) for i in range(COUNT)}
    made["set0/03"][0][7, 7] = np.nan
    return made


@pytest.fixture(scope="module")
def program(mels, tmp_path_factory):
    """What the program makes of each, with the same seed: name -> samples."""
    folder = tmp_path_factory.mktemp("program")
    lines = []
    for name, (mel, seed) in mels.items():
        file = folder / f"{name.replace('/', '-')}.npy"
        np.save(file, mel)
        lines.append(json.dumps({"input": str(file), "seed": seed, "convention": "f5-tts"}))
    (folder / "list").write_text("\n".join(line for line in lines if "set0-03" not in line))
    with open(folder / "list") as list_:
        program_renders("-", "-o", folder / "out", "--format", "float32", stdin=list_)
    return {name: float_samples(folder / f"out/{name.replace('/', '-')}.wav") for name in mels if name != "set0/03"}


def in_parquet(mels, folder, files=6):
    """Lists of lists of float32, as Arrow keeps them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(folder).absolute()
    folder.mkdir()
    names = [*mels]
    for i in range(files):
        part = names[i::files]
        columns = {
            "name": pa.array(part),
            "mel": pa.array([mels[name][0].tolist() for name in part], pa.list_(pa.list_(pa.float32()))),
            "seed": pa.array([mels[name][1] for name in part]),
        }
        pq.write_table(pa.table(columns), f"{folder}/{i}.parquet")
    return ray.data.read_parquet(str(folder))


def rendered(ds, actors=2, batch_size=2, klass=Render, **options):
    if "out_dir" in options:
        options["out_dir"] = os.path.abspath(options["out_dir"])
    ds = ds.map_batches(
        klass,
        fn_constructor_kwargs={**SETTINGS, "seed": "seed", **options},
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1,
        batch_size=batch_size,
    )
    return ds.take_all()


def is_complete(rows, mels, status):
    """Each row once; the bad one with its error, all others with none."""
    assert Counter(row["name"] for row in rows) == Counter([*mels])
    failed = [row for row in rows if row["error"]]
    assert [row["name"] for row in failed] == ["set0/03"] and "NaN" in failed[0]["error"]
    assert {row["status"] for row in rows if not row["error"]} <= status


def are_the_programs(folder, program):
    files = {str(path.relative_to(folder))[:-4]: path for path in Path(folder).rglob("*") if path.is_file()}
    assert files.keys() == program.keys()
    for name, path in files.items():
        assert np.array_equal(float_samples(path), program[name]), name


def test_an_actor_is_killed_and_nothing_is_lost_and_nothing_is_twice(mels, program, tmp_path):
    dead, nodes = str(tmp_path / "dead"), tmp_path / "nodes"
    nodes.mkdir()

    class Dies(Render):
        """The first actor that has written a file and is at its second row is gone, with the batch half done."""

        def __init__(self, **options):
            super().__init__(**options)
            self._rows = 0
            (nodes / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}").touch()

        def _row(self, row):
            self._rows += 1
            if self._rows == 4:
                try:
                    os.close(os.open(dead, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            return super()._row(row)

    rows = rendered(in_parquet(mels, "in"), klass=Dies, batch_size=3, out_dir="out", sample_format="float32")
    assert os.path.exists(dead)
    actors = [name.split("-")[0] for name in os.listdir(nodes)]
    assert len(set(actors)) == 2 and len(actors) == 3, "on both nodes, and one anew"
    is_complete(rows, mels, {"done", "skipped"})
    are_the_programs("out", program)


def test_an_actor_is_killed_after_it_wrote_and_parquet_has_each_row_once(mels, program, tmp_path):
    import pyarrow.parquet as pq

    dead = str(tmp_path / "dead")

    class Dies(Render):
        """The first actor that has written a part is gone before Ray hears of it."""

        def __call__(self, batch):
            out = super().__call__(batch)
            try:
                os.close(os.open(dead, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return out
            os.kill(os.getpid(), signal.SIGKILL)

    rows = rendered(in_parquet(mels, "in"), klass=Dies, out_dir="out", output="parquet")
    assert os.path.exists(dead)
    is_complete(rows, mels, {"done", "skipped"})
    assert any(row["status"] == "skipped" for row in rows), "what the dead one wrote is found"
    table = pq.read_table("out")
    assert Counter(table["name"].to_pylist()) == Counter([*program])
    for name, sound in zip(table["name"].to_pylist(), table["sound"].to_pylist()):
        assert np.array_equal(np.array(sound, np.float32), program[name])


@pytest.mark.parametrize("actors, blocks, batch_size", [(1, 1, 1), (3, 24, 2)])
def test_samples_do_not_depend_on_how_rows_are_shared(mels, program, actors, blocks, batch_size):
    ds = in_parquet(mels, "in").repartition(blocks)
    rows = rendered(ds, actors=actors, batch_size=batch_size)
    sounds = {row["name"]: np.asarray(row["sound"]) for row in rows}
    assert sounds.keys() == mels.keys() and len(rows) == COUNT
    assert sounds.pop("set0/03").size == 0
    assert all(np.array_equal(sounds[name], program[name]) for name in sounds)


def test_a_run_goes_on_with_what_is_missing(mels, program):
    ds = in_parquet(mels, "in")
    options = {"out_dir": "out", "sample_format": "float32"}
    is_complete(rendered(ds, **options), mels, {"done"})
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.wav")}
    gone = [Path("out/set1/01.wav"), Path("out/set2/23.wav")]
    for path in gone:
        path.unlink()
    rows = rendered(ds, actors=3, batch_size=5, **options)
    is_complete(rows, mels, {"done", "skipped"})
    assert sorted(row["name"] for row in rows if row["status"] == "done") == ["set1/01", "set2/23"]
    assert all(path.stat().st_mtime_ns == since for path, since in before.items() if path not in gone)
    are_the_programs("out", program)


def test_a_folder_of_npy_files(mels, program):
    for name, (mel, _) in mels.items():
        Path(f"in/{name}").parent.mkdir(parents=True, exist_ok=True)
        np.save(f"in/{name}.npy", mel)
    Path("in/set1/99.npy").write_bytes(b"broken")
    seeds = {f"{os.getcwd()}/in/{name}.npy": seed for name, (_, seed) in mels.items()}
    ds = ray.data.read_binary_files(os.path.abspath("in"), include_paths=True)
    ds = ds.map(lambda row: {**row, "seed": seeds.get(row["path"], 0)})
    options = {"mel": "bytes", "name": "path", "root": os.path.abspath("in")}
    rows = rendered(ds, out_dir="out", sample_format="float32", **options)
    errors = {os.path.relpath(row["path"], "in"): row["error"] for row in rows if row["error"]}
    assert errors.keys() == {"set0/03.npy", "set1/99.npy"} and "no .npy" in errors["set1/99.npy"]
    assert len(rows) == COUNT + 1
    are_the_programs("out", program)


def in_tar_files(mels, folder, files=3):
    """Shards as WebDataset has them: a.npy and a.json with the same key."""
    Path(folder).mkdir()
    names = sorted(mels)
    for i in range(files):
        with tarfile.open(f"{folder}/{i:04}.tar", "w") as tar:
            for name in names[i::files]:
                mel, seed = mels[name]
                npy = io.BytesIO()
                np.save(npy, mel)
                members = {"npy": npy.getvalue(), "json": json.dumps({"seed": seed}).encode(), "seed": str(seed).encode()}
                for extension, data in members.items():
                    entry = tarfile.TarInfo(f"{name}.{extension}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))


def test_shards_of_webdataset(mels, program):
    in_tar_files(mels, "in")
    ds = ray.data.read_webdataset(os.path.abspath("in"))
    ds = ds.map(lambda row: {"name": row["__key__"], "npy": row["npy"], "seed": row["json"]["seed"]})
    rows = rendered(ds, mel="npy", out_dir="out", sample_format="float32")
    is_complete(rows, mels, {"done"})
    are_the_programs("out", program)
    # As they are: what cannot be decoded fails its row, not the run.
    ds = ray.data.read_webdataset(os.path.abspath("in"), decoder=None)
    rows = rendered(ds, mel="npy", name="__key__", out_dir="raw", sample_format="float32")
    assert Counter(row["__key__"] for row in rows) == Counter([*mels])
    are_the_programs("raw", program)


def test_other_columns_of_parquet(mels, program, render):
    """Ray's tensors of different and of one shape, and flat lists whose shape is beside them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = {name: (mel[:, :12], seed) for name, (mel, seed) in mels.items() if name != "set0/03"}
    wanted = {name: render(mel, seed=seed) for name, (mel, seed) in good.items()}

    ray.data.from_items([{"name": n, "mel": mel, "seed": s} for n, (mel, s) in good.items()]).write_parquet(os.path.abspath("tensors"))
    Path("flat").mkdir()
    columns = {
        "name": pa.array([*good]),
        "mel": pa.array([mel.reshape(-1) for mel, _ in good.values()], pa.list_(pa.float32())),
        "shape": pa.array([mel.shape for mel, _ in good.values()], pa.list_(pa.int32())),
        "seed": pa.array([seed for _, seed in good.values()]),
    }
    pq.write_table(pa.table(columns), "flat/0.parquet")
    for rows in (
        rendered(ray.data.read_parquet(os.path.abspath("tensors"))),
        rendered(ray.data.read_parquet(os.path.abspath("flat")), shape="shape"),
    ):
        assert {row["name"] for row in rows} == good.keys() and not any(row["error"] for row in rows)
        assert all(np.array_equal(row["sound"], wanted[row["name"]]) for row in rows)

    uneven = [{"name": n, "mel": mel, "seed": s} for n, (mel, s) in mels.items()]
    ray.data.from_items(uneven).write_parquet(os.path.abspath("uneven"))
    sounds = {row["name"]: np.asarray(row["sound"]) for row in rendered(ray.data.read_parquet(os.path.abspath("uneven")))}
    assert all(np.array_equal(sounds[name], program[name]) for name in program)


def test_a_setting_that_is_wrong_ends_the_run_with_its_sentence(mels):
    with pytest.raises(Exception, match="quality"):
        rendered(in_parquet(mels, "in"), quality="good")
    with pytest.raises(Exception, match="column mell: is not there, expected one of name, mel, seed"):
        rendered(in_parquet(mels, "again"), mel="mell")
