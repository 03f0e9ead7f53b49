#!/usr/bin/env python3
"""Makes tests/fixtures/families: tiny random models by the originals' own code, and what they make of a mel.

    git clone https://github.com/jik876/hifi-gan       # 4769534
    git clone https://github.com/NVIDIA/BigVGAN        # 7d2b454
    git clone https://github.com/gemelo-ai/vocos       # c859e3b
    git clone https://github.com/lmnt-com/diffwave     # 0594106
    python scripts/family_fixtures.py --hifigan hifi-gan --bigvgan BigVGAN --vocos vocos --diffwave diffwave/src

Needs torch (2.13) and NumPy. The checkpoints go through python/audiodiff/convert.py as anybody's do; of each model there are
NAME.safetensors, the mel NAME-mel.npy [M, T] and the original's sound NAME-sound.npy [n]. Of an original that is not given
nothing is touched.
"""
import argparse
import contextlib
import importlib
import json
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests/fixtures/families"
sys.path.insert(0, str(ROOT / "python/audiodiff"))
import convert  # noqa: E402

FRAMES = 40
MEL = {"n_fft": 64, "hop_size": 16, "win_size": 64, "num_mels": 10, "sampling_rate": 8000, "fmin": 0, "fmax": 4000}


@contextlib.contextmanager
def original(folder, *stubs):
    """Imports from the checkout `folder`; `stubs` are what it imports for other ends."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    for name in stubs:
        sys.modules[name] = MagicMock()
    yield importlib.import_module
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        del sys.modules[name]


def drawn(model, seed):
    """Every weight drawn so that all of them have a say in the output, which neither vanishes nor clips."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        fan_in = max(weight[0].numel(), 1) if weight.dim() > 1 else 1
        draw = torch.randn(weight.shape, generator=generator)
        if name.endswith("weight_g"):
            draw = 1.0 + 0.3 * draw
        elif weight.dim() > 1:
            draw /= fan_in**0.5
        else:
            draw = (0.2 * draw) + (1.0 if name.endswith(("norm.weight", "gamma")) else 0.0)
        weight.data.copy_(draw)
    return model.eval()


def mel(seed, bands, low=-11.0, high=-2.5):
    """[1, M, T], smooth in time as mels are, within what sound of full scale has by the convention."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, bands, FRAMES + 4, generator=generator).unfold(2, 5, 1).mean(3)
    return ((low + high) / 2 + (high - low) / 3 * noise).clamp(low, high)


def write(name, family, checkpoint, config, given, sound):
    spread = sound.std().item()
    assert 0.03 < spread < 0.7 and sound.abs().max() < 1.0, f"{name}: {spread}, {sound.abs().max()}"
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "checkpoint"), Path(folder, "config.json")
        torch.save(checkpoint, paths[0])
        paths[1].write_text(json.dumps(config))
        output = FOLDER / f"{name}.safetensors"
        convert.convert(family, *paths, output, name=name, licence="", overwrite=True)
    np.save(FOLDER / f"{name}-mel.npy", given[0].numpy())
    np.save(FOLDER / f"{name}-sound.npy", sound.flatten().numpy())
    print(f"{name}: {output.stat().st_size} bytes, {sound.numel()} samples, deviation {spread:.3f}")


def scaled(model, given, wanted=0.25):
    """The last convolution scaled so that the sound has the deviation `wanted`, before any tanh."""
    seen = []
    hook = model.conv_post.register_forward_hook(lambda _, __, out: seen.append(out.std().item()))
    model(given)
    hook.remove()
    model.conv_post.weight_g.data *= wanted / seen[0]


def hifigan(folder):
    with original(folder, "matplotlib", "matplotlib.pylab") as module:
        models, env = module("models"), module("env")
        # The original takes 80 bands, whatever the configuration says.
        first = models.Conv1d
        models.Conv1d = lambda bands, *rest, **named: first(10 if bands == 80 else bands, *rest, **named)
        v1 = {
            "resblock": "1", "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "upsample_initial_channel": 16,
            "resblock_kernel_sizes": [3, 7], "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]], **MEL,
        }  # fmt: skip
        v3 = {**v1, "resblock": "2", "upsample_rates": [8, 2], "upsample_kernel_sizes": [16, 4],
              "resblock_kernel_sizes": [3, 5, 7], "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]]}  # fmt: skip
        # As forks for other hops have it: where rate and kernel are not both even there is a sample too many.
        odd = {**v3, "upsample_rates": [4, 5], "upsample_kernel_sizes": [8, 10], "hop_size": 20, "n_fft": 80, "win_size": 80}
        for seed, (name, config) in enumerate({"hifigan-v1": v1, "hifigan-v3": v3, "hifigan-odd": odd}.items()):
            model, given = drawn(models.Generator(env.AttrDict(config)), seed), mel(seed, 10)
            with torch.no_grad():
                scaled(model, given)
                write(name, "hifigan", {"generator": model.state_dict()}, config, given, model(given))


def bigvgan(folder):
    class Hub:
        """In the place of what reads and writes the Hugging Face hub."""

        def __init_subclass__(cls, **_):
            pass

    stubs = ["matplotlib", "matplotlib.pylab", "huggingface_hub", "librosa", "librosa.util", "librosa.filters", "scipy.io.wavfile", "meldataset"]
    with original(folder, *stubs) as module:
        sys.modules["huggingface_hub"].PyTorchModelHubMixin = Hub
        models, env = module("bigvgan"), module("env")
        v1 = {
            "resblock": "1", "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "upsample_initial_channel": 16,
            "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 3, 5], [1, 3]], "activation": "snake",
            "snake_logscale": False, **MEL,
        }  # fmt: skip
        v2 = {**v1, "resblock": "2", "activation": "snakebeta", "snake_logscale": True, "use_tanh_at_final": False,
              "use_bias_at_final": False}  # fmt: skip
        for seed, (name, config) in enumerate({"bigvgan-v1": v1, "bigvgan-v2": v2}.items()):
            model, given = drawn(models.BigVGAN(env.AttrDict(config)), seed), mel(seed, 10)
            with torch.no_grad():
                scaled(model, given)
                write(name, "bigvgan", {"generator": model.state_dict()}, config, given, model(given))


def vocos(folder):
    stubs = ["torchaudio", "torchaudio.functional", "torchaudio.functional.functional", "encodec", "huggingface_hub", "yaml", "scipy"]
    with original(folder, *stubs) as module:
        models, heads = module("vocos.models"), module("vocos.heads")
        for seed, padding in enumerate(["center", "same"]):
            body = {"input_channels": 10, "dim": 12, "intermediate_dim": 20, "num_layers": 2}
            head = {"dim": 12, "n_fft": 64, "hop_length": 16, "padding": padding}
            features = {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "n_mels": 10, "padding": padding}
            config = {
                "feature_extractor": {"class_path": "vocos.feature_extractors.MelSpectrogramFeatures", "init_args": features},
                "backbone": {"class_path": "vocos.models.VocosBackbone", "init_args": body},
                "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": head},
            }
            model = torch.nn.Module()
            model.backbone, model.head = models.VocosBackbone(**body), heads.ISTFTHead(**head)
            given = mel(seed, 10)
            with torch.no_grad():
                drawn(model, seed)
                # The sound is as loud as the exponentials of the magnitudes are.
                model.head.out.bias[:33] -= 0.5
                write(f"vocos-{padding}", "vocos", model.state_dict(), config, given, model.head(model.backbone(given)))


def diffwave(folder):
    with original(folder, "torchaudio") as module:
        models, params, inference = module("diffwave.model"), module("diffwave.params"), module("diffwave.inference")
        config = {
            "sample_rate": 8000, "n_mels": 10, "n_fft": 1024, "hop_samples": 256, "residual_layers": 4, "residual_channels": 6,
            "dilation_cycle_length": 3, "unconditional": False, "noise_schedule": [1e-4, 0.02, 0.1, 0.3, 0.5],
            "inference_noise_schedule": [0.001, 0.1, 0.6],
        }  # fmt: skip
        # The megabyte of what tells the step becomes a kilobyte.
        linear, convert.STEP_CHANNELS = models.Linear, 8
        models.Linear = lambda *sizes: linear(*(8 if size == 512 else size for size in sizes))
        model = drawn(models.DiffWave(params.AttrDict(config)), 0)
        model.output_projection.weight.data *= 0.3
        # 8 frames: as many samples as 128 of the others have.
        given = ((mel(0, 10) + 11.0) / 9.0)[..., :8]
        generator, draws = torch.Generator().manual_seed(1), []

        def randn(*shape, **_):
            # Quieter than it should be: little is clipped then.
            draws.append(0.1 * torch.randn(*shape, generator=generator))
            return draws[-1].clone()

        inference.torch = MagicMock(wraps=torch, randn=randn, randn_like=lambda x: randn(*x.shape))
        inference.models["tiny"] = model
        model.params = params.AttrDict({**config, "override": lambda _: None})
        with torch.no_grad():
            sound, _ = inference.predict(given, "tiny", None, torch.device("cpu"), fast_sampling=True)
        np.save(FOLDER / "diffwave-noise.npy", torch.cat(draws).numpy())
        write("diffwave", "diffwave", {"model": model.state_dict(), "params": config}, config, given, sound)


def main():
    families = {"hifigan": hifigan, "bigvgan": bigvgan, "vocos": vocos, "diffwave": diffwave}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in families:
        parser.add_argument(f"--{name}", type=Path, metavar="CHECKOUT")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for name, make in families.items():
        if folder := getattr(given, name):
            make(folder)


if __name__ == "__main__":
    main()
