"""Renders a folder of .npy mels on a Ray cluster, or on this machine where there is none, and says how fast.

    python python/examples/on_ray.py MELS WAVS --convention f5-tts --actors 8 [--address auto]

Both folders are where all machines see them. Run again, it renders what is missing.
"""
import argparse
import os
import time

import ray

import audiodiff.ray


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mels")
    parser.add_argument("wavs")
    parser.add_argument("--convention", default="auto")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--address", help='of the cluster; "auto" for the one that this machine belongs to')
    options = parser.parse_args()
    mels, wavs = os.path.abspath(options.mels), os.path.abspath(options.wavs)

    # One place more than actors where Ray is started here: the reader needs one.
    ray.init(options.address or "local", num_cpus=None if options.address else options.actors + 1)
    start = time.time()
    # Rows are shared by the block, so there are to be several for each actor.
    blocks = 16 * options.actors
    ds = ray.data.read_binary_files(mels, include_paths=True, file_extensions=["npy"], override_num_blocks=blocks)
    ds = ds.map_batches(
        audiodiff.ray.Render,
        fn_constructor_kwargs={
            "mel": "bytes",
            "name": "path",
            "root": mels,
            "out_dir": wavs,
            "seed": options.seed,
            "convention": options.convention,
            "quality": options.quality,
            "precision": "f32",
        },
        compute=ray.data.ActorPoolStrategy(size=options.actors),
        num_cpus=1,
        batch_size=8,
    )
    rows, seconds = [], 0.0
    for row in ds.select_columns(["path", "status", "seconds", "error", "warning"]).iter_rows():
        rows.append(row)
        seconds += row["seconds"]
        if row["error"]:
            print(f"{row['path']}: {row['error']}")
    ends = time.time()
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "skipped", "failed")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()), end="; ")
    print(f"{seconds:.0f} s of sound in {ends - start:.0f} s, {seconds / (ends - start):.1f} x real time")
    return 3 if counts["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
