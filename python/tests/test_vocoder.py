"""Kinds, shapes, batches, streams, threads."""
import pickle
import threading

import audiodiff
import numpy as np
import pytest

torch = None
try:
    import torch
except ImportError:
    pass
needs_torch = pytest.mark.skipif(torch is None, reason="without torch")

HOP = 256


def test_a_mel_becomes_sound_at_full_scale_1(render, mel):
    sound = render(mel)
    assert isinstance(sound, np.ndarray) and sound.dtype == np.float32 and sound.shape == (47 * HOP,)
    assert 0.01 < np.abs(sound).max() < 1.5


def test_another_seed_is_another_sound(render, mel):
    assert not np.array_equal(render(mel, seed=1), render(mel, seed=2))


@pytest.mark.parametrize(
    "same",
    [
        lambda mel: mel.astype(np.float64),
        lambda mel: mel.astype(">f4"),
        lambda mel: np.asfortranarray(mel),
        lambda mel: np.repeat(mel, 2, axis=1)[:, ::2],
        lambda mel: mel.T,
        lambda mel: np.flip(np.flip(mel, 1).copy(), 1),
    ],
    ids=["float64", "big-endian", "fortran", "strided", "frames first", "negative strides"],
)
def test_the_same_numbers_are_the_same_sound_however_they_lie_in_memory(render, mel, same):
    assert np.array_equal(render(same(mel)), render(mel))


def test_the_given_array_stays_as_it_is(render, mel):
    given = mel.copy()
    given.flags.writeable = False
    render(given)
    assert np.array_equal(given, mel)


def test_each_mel_of_a_batch_sounds_as_it_does_alone(render, mel):
    short = mel[:, :30]
    batch = np.full((2, 100, 48), np.nan, np.float32)  # what lies behind a length is not looked at
    batch[0], batch[1, :, :30] = mel, short
    sounds = render(batch, lengths=[48, 30], seed=[4, 5])
    assert sounds.shape == (2, 47 * HOP)
    assert np.array_equal(sounds[0], render(mel, seed=4))
    assert np.array_equal(sounds[1, : 29 * HOP], render(short, seed=5))
    assert not sounds[1, 29 * HOP :].any()
    turned = np.ascontiguousarray(batch.transpose(0, 2, 1))
    assert np.array_equal(render(turned, lengths=np.array([48, 30]), seed=[4, 5]), sounds)
    assert np.array_equal(render(mel[np.newaxis], seed=4), sounds[:1])


def test_two_channels_are_two_mels_of_one_noise(render, mel):
    pair = np.stack([mel, mel[:, ::-1]])
    stereo = render(pair, stereo=True, seed=4)
    assert stereo.shape == (2, 47 * HOP)
    # Each channel is what its mel makes, to the left or to the right, and equal mels stay in the middle.
    left, right = stereo
    assert np.array_equal(render(np.stack([mel[:, ::-1], mel]), stereo=True, seed=4), np.stack([right, left]))
    assert np.array_equal(render(np.stack([mel, mel]), stereo=True, seed=4), np.stack([left, left]))
    assert np.array_equal(render(pair[np.newaxis], stereo=True, seed=4), stereo[np.newaxis])


@pytest.mark.parametrize("frames", [1, 7, 200])
def test_a_stream_is_the_whole_in_pieces_however_the_frames_come(render, vocoder, mel, frames):
    blocks = (mel[:, t : t + frames] for t in range(0, mel.shape[1], frames))
    if frames == 1:
        blocks = (block[:, 0] for block in blocks)
    options = {"convention": "f5-tts", "quality": "draft", "seed": 6, "chunk": 24}
    chunks = [*vocoder.stream(blocks, **options)]
    assert len(chunks) > 1 and all(chunk.ndim == 1 and chunk.dtype == np.float32 for chunk in chunks)
    assert np.array_equal(np.concatenate(chunks), render(mel, seed=6, chunk=24))


def test_the_first_chunk_comes_before_the_last_frame_is_made(vocoder, mel):
    made = 0

    def frames():
        nonlocal made
        for _ in range(20):
            for frame in mel.T:
                made += 1
                yield frame

    stream = vocoder.stream(frames(), chunk=24, quality="draft")
    assert made == 0
    next(stream)
    # A chunk, what the model looks at beyond it, and the chunk that is in the making.
    assert made < 200
    stream.close()


def test_what_the_frames_raise_reaches_the_one_who_listens(vocoder, mel):
    class Mine(Exception):
        pass

    def frames():
        yield mel
        raise Mine

    stream = vocoder.stream(frames(), chunk=24, quality="draft")
    with pytest.raises(Mine):
        list(stream)
    assert list(stream) == []


def test_frames_that_no_sound_gives_end_a_stream_after_the_sound_before_them(vocoder, mel):
    broken = mel.copy()
    broken[7, 40] = np.nan
    stream = vocoder.stream([broken], chunk=24, quality="draft")
    chunks = []
    with pytest.raises(audiodiff.MelError, match="NaN"):
        chunks.extend(stream)
    with pytest.raises(audiodiff.MelError, match=r"shape \[99, 3\]"):
        list(vocoder.stream([mel[:99, :3]], quality="draft"))


def test_streams_that_nobody_reads_on_end(vocoder, mel):
    before = threading.active_count()
    for _ in range(2):
        next(vocoder.stream((mel for _ in range(1000)), chunk=24, quality="draft"))
        vocoder.stream([mel])  # never begun
    assert threading.active_count() == before


def test_threads_may_share_a_vocoder(render, mel):
    seeds = range(4)
    alone = [render(mel, seed=seed) for seed in seeds]
    together = [None] * 4

    def work(seed):
        together[seed] = render(mel, seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together))


def test_python_runs_on_while_it_renders(render, mel):
    done, counted = threading.Event(), 0

    def work():
        render(mel)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.001):
        counted += 1
    thread.join()
    # A call that kept the lock would let this thread run once, at its end.
    assert counted > 3


def test_a_convention_is_a_name_a_file_or_its_fields(render, vocoder, mel, tmp_path):
    fields = audiodiff.convention("F5")
    assert fields == audiodiff.conventions()["f5-tts"] == vocoder.convention
    assert (fields["sample_rate"], fields["hop"], fields["n_mels"]) == (24_000, HOP, 100)
    own = {**fields, "name": "mine"}
    file = tmp_path / "mine.toml"
    file.write_text('base = "f5-tts"\n')
    wanted = render(mel)
    assert np.array_equal(render(mel, convention=own), wanted)
    assert np.array_equal(render(mel, convention=file), wanted)
    with pytest.raises(audiodiff.ConventionError, match="did you mean f5-tts"):
        render(mel, convention="f5-tt")
    with pytest.raises(audiodiff.ConventionError, match="convention: hop: cannot be used"):
        render(mel, convention={**fields, "hop": -1})
    with pytest.raises(audiodiff.ConventionError):
        render(mel, convention={"name": "x", "y": object()})


def test_what_is_assumed_is_said_at_the_callers_line(vocoder, mel):
    with pytest.warns(audiodiff.AudiodiffWarning, match='convention="f5-tts" says so') as warned:
        vocoder(mel, quality="draft")
    assert warned[0].filename == __file__


def test_what_a_configuration_says_beside_is_said_at_the_callers_line(vocoder, mel, tmp_path):
    config = tmp_path / "vocoder.yaml"
    config.write_text("num_mel_bins: 128\nmel_base: e\ncolour: blue\n")
    with pytest.warns(audiodiff.AudiodiffWarning, match="left out: colour") as warned:
        fields = audiodiff.convention(config)
    assert warned[0].filename == __file__
    assert fields["n_mels"] == 128


def test_another_rate_is_resampled(render, mel):
    assert render(mel, rate=48_000).shape == (2 * 47 * HOP,)


def test_a_rendering_scores_well_and_noise_badly(render, mel):
    recording = render(mel)
    again = render(mel, seed=9)
    noise = np.random.default_rng(0).normal(0, 0.1, recording.shape).astype(np.float32)
    metrics = ["mel_l1", "mr_mel"]
    near, far = (audiodiff.score(recording, other, 24_000, metrics=metrics) for other in (again, noise))
    assert near["mel_l1"] < 0.5 * far["mel_l1"] and near["mr_mel"] < 0.5 * far["mr_mel"]
    assert near["sample_rate"] == 24_000 and "pesq_wb" not in near
    with pytest.raises(audiodiff.SettingsError, match="pesq_wb"):
        audiodiff.score(recording, again, 24_000, metrics=["pesq"])


def test_a_vocoder_is_loaded_anew_where_it_is_unpickled(vocoder, render, mel):
    again = pickle.loads(pickle.dumps(vocoder))
    assert again.identity == vocoder.identity
    assert np.array_equal(again(mel, convention="f5-tts", quality="draft"), render(mel))


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_tensor_gives_a_tensor(render, mel, dtype):
    given = torch.from_numpy(mel).to(getattr(torch, dtype)).requires_grad_()
    sound = render(given)
    assert isinstance(sound, torch.Tensor) and sound.dtype == torch.float32 and not sound.requires_grad
    assert np.array_equal(sound.numpy(), render(given.detach().float().numpy()))
    batch = render(given.T[None], lengths=torch.tensor([48]))
    assert np.array_equal(batch[0].numpy(), sound.numpy())


@needs_torch
def test_a_stream_of_tensors_gives_tensors(render, vocoder, mel):
    chunks = [*vocoder.stream(torch.from_numpy(mel).split(16, dim=1), chunk=24, quality="draft")]
    assert all(isinstance(chunk, torch.Tensor) for chunk in chunks)
    assert np.array_equal(torch.cat(chunks).numpy(), render(mel, chunk=24))


@needs_torch
def test_the_callers_torch_keeps_its_threads(render, mel):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        render(mel)
        in_new_thread = []
        thread = threading.Thread(target=lambda: in_new_thread.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert torch.get_num_threads() == 3 and in_new_thread == [3]
    finally:
        torch.set_num_threads(before)


@needs_torch
def test_there_is_one_libtorch_in_the_process(vocoder):
    with open("/proc/self/maps") as maps:
        libraries = {line.split()[-1] for line in maps if "libtorch_cpu.so" in line}
    assert len(libraries) == 1 and torch.__path__[0] in libraries.pop()


@needs_torch
@pytest.mark.parametrize(
    "make",
    [
        lambda mel: mel.to(torch.int32),
        lambda mel: mel.to(torch.complex64),
        lambda mel: mel.to("meta"),
        lambda mel: mel.to_sparse(),
        lambda mel: torch.quantize_per_tensor(mel, 0.1, 0, torch.quint8),
        lambda mel: mel[:0],
        lambda mel: mel * float("nan"),
        lambda mel: mel[0, 0],
    ],
)
def test_what_is_no_mel_of_torchs_is_refused(render, mel, make):
    with pytest.raises(audiodiff.MelError):
        render(make(torch.from_numpy(mel)))


@needs_torch
@pytest.mark.skipif(torch is None or not torch.cuda.is_available(), reason="without CUDA")
def test_a_tensor_on_a_gpu_is_refused_with_the_remedy(render, mel):
    with pytest.raises(audiodiff.MelError, match=r"give it \.cpu\(\)"):
        render(torch.from_numpy(mel).cuda())
