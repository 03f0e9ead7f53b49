"""Makes a model file of audiodiff of another program's checkpoint: ``python -m audiodiff.convert --help``.

Needs torch, to read the checkpoint, and nothing of audiodiff: ``python convert.py`` does the same. Tensors keep their names,
weight norm is folded into the weights, and what the program computes by itself (windows, filters) is left out.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Shapes = dict[str, tuple[int, ...]]

#: The metadata entry that holds the card, and the card's version.
CARD_KEY, CARD_VERSION = "audiodiff", 2


class Refusal(Exception):
    """Why there is no model file: one sentence."""


# The mel conventions, in audiodiff's own fields.

PLAIN = {
    "power": 1.0, "magnitude_epsilon": 0.0, "power_floor": 0.0, "window_norm": False, "log": "natural", "floor": 1e-5,
    "layout": "bands_first",
}  # fmt: skip


def hifigan_mel(config: dict[str, Any]) -> dict[str, Any]:
    """Of HiFi-GAN's and BigVGAN's ``meldataset.py``."""
    rate = config["sampling_rate"]
    return PLAIN | {
        "sample_rate": rate, "n_fft": config["n_fft"], "win_length": config["win_size"], "hop": config["hop_size"],
        "n_mels": config["num_mels"], "f_min": float(config["fmin"] or 0),
        "f_max": float(rate / 2 if config["fmax"] is None else config["fmax"]),
        "scale": "slaney", "area_norm": True, "magnitude_epsilon": 1e-9, "framing": "half_hop",
    }  # fmt: skip


def vocos_mel(config: dict[str, Any]) -> dict[str, Any]:
    """Of Vocos' ``feature_extractors.py``, which is torchaudio's."""
    part = config["feature_extractor"]
    if not part["class_path"].endswith(".MelSpectrogramFeatures"):
        raise ValueError(f"feature_extractor.class_path is {part['class_path']}, expected vocos' MelSpectrogramFeatures")
    # What is not said is the class's own default.
    said = {"sample_rate": 24_000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, "padding": "center"} | part["init_args"]
    return PLAIN | {
        "sample_rate": said["sample_rate"], "n_fft": said["n_fft"], "win_length": said["n_fft"], "hop": said["hop_length"],
        "n_mels": said["n_mels"], "f_min": 0.0, "f_max": float(said["sample_rate"] // 2), "scale": "htk", "area_norm": False,
        "floor": 1e-7, "framing": {"center": "centred", "same": "half_hop"}[said["padding"]],
    }  # fmt: skip


def diffwave_mel(config: dict[str, Any]) -> dict[str, Any]:
    """Of DiffWave's ``preprocess.py``: (20 log10(x) - 20 + 100) / 100, clipped to 0 to 1."""
    rate, hop = config["sample_rate"], config["hop_samples"]
    return PLAIN | {
        "sample_rate": rate, "n_fft": config["n_fft"], "win_length": 4 * hop, "hop": hop, "n_mels": config["n_mels"],
        "f_min": 20.0, "f_max": rate / 2.0, "scale": "htk", "area_norm": False, "window_norm": True, "log": "decibel",
        "affine": {"scale": 0.01, "offset": 0.8, "clip": [0.0, 1.0]}, "framing": "centred",
    }  # fmt: skip


# The tensors of each family, by name.

def hifigan(config: dict[str, Any], up: str = "ups.{}") -> Shapes:
    """The generator of HiFi-GAN (Kong et al. 2020)."""
    shapes: Shapes = {}

    def conv(name: str, *shape: int, biases: int | None = None) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = (shape[0] if biases is None else biases,)

    channels = config["upsample_initial_channel"]
    conv("conv_pre", channels, config["num_mels"], 7)
    blocks = list(zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"]))
    for i, kernel in enumerate(config["upsample_kernel_sizes"]):
        conv(up.format(i), channels, channels // 2, kernel, biases=channels // 2)
        channels //= 2
        for j, (size, dilations) in enumerate(blocks):
            for group in ("convs1", "convs2") if config["resblock"] == "1" else ("convs",):
                for k in range(len(dilations)):
                    conv(f"resblocks.{i * len(blocks) + j}.{group}.{k}", channels, channels, size)
    conv("conv_post", 1, channels, 7)
    return shapes


def bigvgan(config: dict[str, Any]) -> Shapes:
    """The generator of BigVGAN v1 and v2 (Lee et al. 2023): HiFi-GAN's, and activations with weights of their own."""
    shapes = hifigan(config, up="ups.{}.0")
    letters = {"snake": ["alpha"], "snakebeta": ["alpha", "beta"]}[config["activation"]]
    channels, layer = config["upsample_initial_channel"], 0
    for _ in config["upsample_rates"]:
        channels //= 2
        for dilations in config["resblock_dilation_sizes"]:
            for k in range(len(dilations) * (2 if config["resblock"] == "1" else 1)):
                shapes |= {f"resblocks.{layer}.activations.{k}.act.{letter}": (channels,) for letter in letters}
            layer += 1
    shapes |= {f"activation_post.act.{letter}": (channels,) for letter in letters}
    if not config.get("use_bias_at_final", True):
        del shapes["conv_post.bias"]
    return shapes


def vocos(config: dict[str, Any]) -> Shapes:
    """Backbone and head of Vocos (Siuzdak 2023)."""
    for part, wanted in (("backbone", "vocos.models.VocosBackbone"), ("head", "vocos.heads.ISTFTHead")):
        if config[part]["class_path"] != wanted:
            raise ValueError(f"{part}.class_path is {config[part]['class_path']}, expected {wanted}")
    body, head = config["backbone"]["init_args"], config["head"]["init_args"]
    if body.get("adanorm_num_embeddings"):
        raise ValueError("adanorm_num_embeddings is set, expected a model that is told nothing but a mel")
    dim, wide = body["dim"], body["intermediate_dim"]

    def layer(name: str, *shape: int) -> Shapes:
        return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}

    shapes = layer("backbone.embed", dim, body["input_channels"], 7) | layer("backbone.norm", dim)
    for i in range(body["num_layers"]):
        name = f"backbone.convnext.{i}"
        shapes |= layer(f"{name}.dwconv", dim, 1, 7) | layer(f"{name}.norm", dim) | {f"{name}.gamma": (dim,)}
        shapes |= layer(f"{name}.pwconv1", wide, dim) | layer(f"{name}.pwconv2", dim, wide)
    return shapes | layer("backbone.final_layer_norm", dim) | layer("head.out", head["n_fft"] + 2, dim)


#: Channels of what DiffWave is told of the step: a constant of its code.
STEP_CHANNELS = 512


def diffwave(config: dict[str, Any]) -> Shapes:
    """DiffWave (Kong et al. 2021) as LMNT trained it."""
    if config.get("unconditional"):
        raise ValueError("unconditional is set, expected a model that is told a mel")
    channels, bands = config["residual_channels"], config["n_mels"]

    def layer(name: str, *shape: int) -> Shapes:
        return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}

    shapes = layer("input_projection", channels, 1, 1) | layer("skip_projection", channels, channels, 1)
    shapes |= layer("output_projection", 1, channels, 1)
    shapes |= layer("diffusion_embedding.projection1", STEP_CHANNELS, 128)
    shapes |= layer("diffusion_embedding.projection2", STEP_CHANNELS, STEP_CHANNELS)
    for i in (1, 2):
        shapes |= layer(f"spectrogram_upsampler.conv{i}", 1, 1, 3, 32)
    for i in range(config["residual_layers"]):
        name = f"residual_layers.{i}"
        shapes |= layer(f"{name}.dilated_conv", 2 * channels, channels, 3) | layer(f"{name}.diffusion_projection", channels, STEP_CHANNELS)
        shapes |= layer(f"{name}.conditioner_projection", 2 * channels, bands, 1)
        shapes |= layer(f"{name}.output_projection", 2 * channels, channels, 1)
    return shapes


class Family:
    """What is known of a family: the keys that its configuration must or may have, and what follows from them."""

    def __init__(
        self, title: str, keys: str, shapes: Callable[..., Shapes], mel: Callable[..., dict[str, Any]], sign: str,
        unused: str = "(?!)", optional: str = "",
    ) -> None:  # fmt: skip
        self.title, self.keys, self.optional, self.shapes, self.mel = title, keys.split(), optional.split(), shapes, mel
        #: A name that no other family's checkpoint has, and names that are left out.
        self.sign, self.unused = re.compile(sign), re.compile(unused)


HIFIGAN_KEYS = """resblock upsample_rates upsample_kernel_sizes upsample_initial_channel resblock_kernel_sizes
    resblock_dilation_sizes num_mels n_fft hop_size win_size sampling_rate fmin fmax"""

FAMILIES = {
    "hifigan": Family("HiFi-GAN", HIFIGAN_KEYS, hifigan, hifigan_mel, r"ups\.\d+\.weight$"),
    "bigvgan": Family(
        "BigVGAN", HIFIGAN_KEYS + " activation snake_logscale", bigvgan, hifigan_mel, r"ups\.\d+\.0\.weight$",
        unused=r".*\.(upsample|downsample\.lowpass)\.filter$", optional="use_tanh_at_final use_bias_at_final",
    ),
    "vocos": Family(
        "Vocos", "feature_extractor backbone head", vocos, vocos_mel, r"backbone\.embed\.weight$",
        # Lightning's checkpoints have the discriminators, too.
        unused=r"(?!backbone\.|head\.)|head\.istft\.window$",
    ),
    "diffwave": Family(
        "DiffWave",
        """sample_rate n_mels n_fft hop_samples residual_layers residual_channels dilation_cycle_length noise_schedule
        inference_noise_schedule""",
        diffwave, diffwave_mel, r"residual_layers\.\d+\.dilated_conv\.weight$", optional="unconditional",
    ),
}  # fmt: skip


def folded(state: dict[str, Any]) -> dict[str, Any]:
    """With ``g v / |v|`` in the place of weight norm's two tensors (Salimans and Kingma 2016), whichever way they are named."""
    weights = dict(state)
    for names in (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")):
        for g in [name for name in weights if name.endswith(f".{names[0]}")]:
            base = g.removesuffix(names[0])
            if base + names[1] not in weights:
                raise Refusal(f"has {g} without {base + names[1]}")
            g_tensor, v = weights.pop(g).double(), weights.pop(base + names[1]).double()
            # All axes but one were summed over.
            summed = [axis for axis, size in enumerate(g_tensor.shape) if size == 1]
            kept = [size for axis, size in enumerate(v.shape) if axis not in summed]
            if g_tensor.dim() != v.dim() or kept != [size for size in g_tensor.shape if size != 1]:
                raise Refusal(f"has {g} of shape {list(g_tensor.shape)}, which is no norm of {list(v.shape)}")
            weights[f"{base}weight"] = (v * (g_tensor / v.square().sum(dim=summed, keepdim=True).sqrt())).float()
    return weights


def state_of(checkpoint: Any) -> dict[str, Any]:
    """The tensors by name, wherever the program keeps them."""
    import torch

    for key in ("generator", "model", "state_dict"):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    if not isinstance(checkpoint, dict):
        raise Refusal("holds no tensors by name")
    state = {name: value for name, value in checkpoint.items() if isinstance(name, str) and torch.is_tensor(value)}
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    if not state:
        raise Refusal("holds no tensors by name")
    return state


def tensors_of(family: str, checkpoint: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The tensors that the model file has, each of the shape that the configuration says."""
    import torch

    about, state = FAMILIES[family], folded(state_of(checkpoint))
    if not any(about.sign.match(name) for name in state):
        for other, known in FAMILIES.items():
            if any(known.sign.match(name) for name in state):
                raise Refusal(f"is a checkpoint of the family {other}, expected one of {family}")
    shapes = about.shapes(config)
    for name, shape in shapes.items():
        if name not in state:
            raise Refusal(f"has no tensor {name}, expected all of a {family} of this configuration")
        if tuple(state[name].shape) != shape:
            found = list(state[name].shape)
            raise Refusal(f"has {name} of shape {found}, expected {list(shape)} by the configuration")
        if not torch.isfinite(state[name].float()).all():
            raise Refusal(f"has numbers in {name} that are not finite")
    left = [name for name in state if name not in shapes and not about.unused.match(name)]
    if left:
        raise Refusal(f"has the tensor {left[0]}, which a {family} of this configuration has not")
    return {name: state[name].float() for name in shapes}


def convention_name(family: str, mel: dict[str, Any]) -> str:
    """That of the preset with these numbers, where it is one that the originals published."""
    published = {
        "hifigan": ("hifigan-22k", (22_050, 1024, 1024, 256, 80, 0.0, 8000.0)),
        "vocos": ("vocos-24k", (24_000, 1024, 1024, 256, 100, 0.0, 12_000.0)),
        "diffwave": ("diffwave", (22_050, 1024, 1024, 256, 80, 20.0, 11_025.0)),
    }
    name, numbers = published.get(family, ("", ()))
    if numbers == tuple(mel[key] for key in ("sample_rate", "n_fft", "win_length", "hop", "n_mels", "f_min", "f_max")):
        return name
    return f"{family}-{mel['sample_rate'] // 1000}k-{mel['n_mels']}-{mel['hop']}x"


def card(family: str, config: dict[str, Any], name: str, source: str, licence: str) -> dict[str, Any]:
    about = FAMILIES[family]
    mel = about.mel(config)
    return {
        "version": CARD_VERSION,
        "family": family,
        "name": name,
        "mel": {"name": convention_name(family, mel)} | mel,
        # What else the file says is of its training.
        "architecture": {key: config[key] for key in about.keys + about.optional if key in config},
        "training": {"recipe": f"{about.title}, converted from {source}", "hours_of_audio": 0.0, "data": []},
        "licenses": {"code": "", "weights": licence, "data": ""},
    }


def write(path: Path, tensors: dict[str, Any], about: dict[str, Any]) -> None:
    """A safetensors file with the card in its metadata, which appears whole or not at all."""
    header: dict[str, Any] = {"__metadata__": {CARD_KEY: json.dumps(about, allow_nan=False)}}
    blobs, offset = [], 0
    for name in sorted(tensors):
        blob = tensors[name].contiguous().cpu().numpy().astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [offset, offset + len(blob)]
        }  # fmt: skip
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    # Numbers begin at a multiple of 8.
    text += b" " * (-len(text) % 8)
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.writelines(blobs)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise Refusal(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    if path.suffix in (".yaml", ".yml"):
        try:
            import yaml
        except ImportError:
            raise Refusal(f"{path}: is YAML, which needs PyYAML: pip install pyyaml, or give the same as JSON") from None
        try:
            config = yaml.safe_load(text)
        except yaml.YAMLError as problem:
            raise Refusal(f"{path}: is no YAML: {' '.join(str(problem).split())}") from None
    else:
        try:
            config = json.loads(text)
        except ValueError as problem:
            raise Refusal(f"{path}: is no JSON: {problem}") from None
    if not isinstance(config, dict):
        raise Refusal(f"{path}: has no fields, expected the configuration of a model")
    # Vocos' training keeps what its model is beside what it is trained with.
    if isinstance(config.get("model"), dict) and isinstance(config["model"].get("init_args"), dict):
        config = config["model"]["init_args"]
    return config


def config_of(checkpoint: Path, content: Any, config: Path | None) -> tuple[str, dict[str, Any]]:
    """The configuration and what messages call it: the file that is given, what is kept in the checkpoint (DiffWave), or a file
    beside it."""
    if config is None and isinstance(content, dict) and isinstance(content.get("params"), dict):
        return f"{checkpoint}: params", content["params"]
    beside = [checkpoint.with_name(name) for name in ("config.json", "config.yaml")]
    found = config or next((path for path in beside if path.is_file()), None)
    if found is None:
        raise Refusal(f"{checkpoint}: has no config.json or config.yaml beside it; name its configuration")
    return str(found), read_config(found)


def read_checkpoint(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise Refusal("torch is not installed, and checkpoints are read with it: pip install torch") from None
    if not path.is_file():
        raise Refusal(f"{path}: is no file")
    try:
        # Never weights_only=False: a pickle runs what it likes.
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises whatever a broken file brings about
        first = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise Refusal(f"{path}: is no checkpoint that torch reads without running code in it ({first[:160]})") from None


def convert(family: str, checkpoint: Path, config: Path | None, output: Path, *, name: str, licence: str, overwrite: bool) -> int:
    """Writes `output` and returns the number of its weights."""
    if os.path.lexists(output) and not overwrite:
        raise Refusal(f"{output}: is there already; give -y to overwrite it")
    if any(output.resolve() == given.resolve() for given in (checkpoint, config) if given):
        raise Refusal(f"{output}: is an input; name another file with -o")
    if not output.parent.is_dir():
        raise Refusal(f"{output}: there is no folder {output.parent}")
    content = read_checkpoint(checkpoint)
    source, described = config_of(checkpoint, content, config)
    missing = [key for key in FAMILIES[family].keys if key not in described]
    if missing:
        raise Refusal(f"{source}: has no {', '.join(missing)}, which the configuration of a {family} has")
    try:
        tensors = tensors_of(family, content, described)
        about = card(family, described, name or output.stem, checkpoint.name, licence)
    except Refusal as problem:
        raise Refusal(f"{checkpoint}: {problem}") from None
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as problem:
        raise Refusal(f"{source}: makes no sense as the configuration of a {family} ({problem or type(problem).__name__})") from None
    try:
        write(output, tensors, about)
    except (OSError, ValueError, TypeError) as problem:
        raise Refusal(f"{output}: cannot be written: {problem}") from None
    return sum(tensor.numel() for tensor in tensors.values())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m audiodiff.convert", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("family", choices=list(FAMILIES), help="; ".join(f"{key}: {value.title}" for key, value in FAMILIES.items()))
    parser.add_argument("checkpoint", type=Path, help="the original's checkpoint, as torch saved it")
    parser.add_argument("config", type=Path, nargs="?", help="its configuration; config.json or config.yaml beside the checkpoint where none is given")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model file, .safetensors")
    parser.add_argument("-y", "--overwrite", action="store_true", help="overwrite the model file where it is there already")
    parser.add_argument("--name", default="", help="of the model; that of the file where none is given")
    parser.add_argument("--license", default="", help="of the weights, to be kept in the model file")
    given = parser.parse_intermixed_args(arguments)
    try:
        weights = convert(
            given.family, given.checkpoint, given.config, given.output, name=given.name, licence=given.license, overwrite=given.overwrite
        )
    except Refusal as problem:
        print(f"convert: {problem}", file=sys.stderr)
        return 2
    print(f"{given.output}: {weights / 1e6:.1f} million weights", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
