"""``python -m audiodiff.convert``: what is in the file, and one sentence where there is none."""
import json
import struct
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from audiodiff import convert  # noqa: E402

HIFIGAN = {
    "resblock": "2", "upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 2]], "num_mels": 10, "n_fft": 64, "hop_size": 16,
    "win_size": 64, "sampling_rate": 8000, "fmin": 0, "fmax": None, "learning_rate": 1e-4,
}  # fmt: skip
BIGVGAN = HIFIGAN | {"activation": "snakebeta", "snake_logscale": True, "use_bias_at_final": False}
VOCOS = {
    "feature_extractor": {
        "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
        "init_args": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "n_mels": 10, "padding": "same"},
    },
    "backbone": {
        "class_path": "vocos.models.VocosBackbone",
        "init_args": {"input_channels": 10, "dim": 6, "intermediate_dim": 8, "num_layers": 1},
    },
    "head": {
        "class_path": "vocos.heads.ISTFTHead",
        "init_args": {"dim": 6, "n_fft": 64, "hop_length": 16, "padding": "same"},
    },
}
DIFFWAVE = {
    "sample_rate": 8000, "n_mels": 10, "n_fft": 1024, "hop_samples": 256, "residual_layers": 2, "residual_channels": 4,
    "dilation_cycle_length": 2, "unconditional": False, "noise_schedule": [0.1, 0.2], "inference_noise_schedule": [0.1],
}  # fmt: skip
CONFIGS = {"hifigan": HIFIGAN, "bigvgan": BIGVGAN, "vocos": VOCOS, "diffwave": DIFFWAVE}


def state(family):
    generator = torch.Generator().manual_seed(0)
    shapes = convert.FAMILIES[family].shapes(CONFIGS[family])
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def read(path):
    """Card and tensors of a safetensors file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header.pop("__metadata__")[convert.CARD_KEY])
    body = data[8 + length :]
    assert sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values()) == len(body)
    return card, {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]) for name, entry in header.items()
    }


@pytest.fixture()
def run(tmp_path, capsys):
    """Converts with the configuration beside the checkpoint: exit code, standard error, the model file."""

    def call(family, checkpoint, config, *more):
        torch.save(checkpoint, tmp_path / "checkpoint")
        (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        output = tmp_path / "m.safetensors"
        code = convert.main([family, str(tmp_path / "checkpoint"), "-o", str(output), *more])
        return code, capsys.readouterr().err, output

    return call


@pytest.mark.parametrize("family", CONFIGS)
def test_every_tensor_keeps_its_name_and_numbers(run, family):
    weights = state(family)
    code, said, output = run(family, {"step": 7, "generator": weights}, CONFIGS[family], "--license", "MIT")
    assert code == 0 and "million weights" in said
    card, tensors = read(output)
    assert sorted(tensors) == sorted(weights)
    assert all(np.array_equal(tensors[name], weights[name].numpy()) for name in weights)
    assert card["family"] == family and card["licenses"]["weights"] == "MIT" and card["name"] == "m"
    assert "learning_rate" not in card["architecture"]
    assert card["mel"]["sample_rate"] == 8000 and card["mel"]["n_mels"] == 10


@pytest.mark.parametrize("new", [False, True], ids=["weight_g", "parametrizations"])
@pytest.mark.parametrize("transposed", [False, True])
def test_weight_norm_is_folded(new, transposed):
    layer = torch.nn.ConvTranspose1d(4, 6, 3) if transposed else torch.nn.Conv1d(4, 6, 3)
    normed = torch.nn.utils.parametrizations.weight_norm(layer) if new else torch.nn.utils.weight_norm(layer)
    with torch.no_grad():
        for weight in normed.parameters():
            weight += torch.rand(weight.shape)
        normed(torch.zeros(1, 4, 5))  # the older kind computes its weight when it is used
    folded = convert.folded({f"conv.{name}": value for name, value in normed.state_dict().items()})
    assert sorted(folded) == ["conv.bias", "conv.weight"]
    assert torch.allclose(folded["conv.weight"], normed.weight.detach(), rtol=1e-6, atol=1e-7)


def test_configurations_lie_in_checkpoints_and_in_yaml(run, tmp_path):
    code, _, output = run("diffwave", {"model": state("diffwave"), "params": DIFFWAVE}, "{}")
    assert code == 0 and read(output)[0]["architecture"]["residual_layers"] == 2
    yaml = pytest.importorskip("yaml")
    (tmp_path / "vocos.yaml").write_text(yaml.safe_dump({"model": {"class_path": "x", "init_args": VOCOS}}))
    discriminator = {"multiperioddisc.weight": torch.zeros(2), "head.istft.window": torch.zeros(64)}
    code, said, output = run("vocos", {"state_dict": state("vocos") | discriminator}, "{}", str(tmp_path / "vocos.yaml"), "-y")
    assert code == 0, said
    assert read(output)[0]["mel"]["framing"] == "half_hop"


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


def changed(config, **fields):
    return json.dumps({key: value for key, value in (config | fields).items() if value != "left out"})


CASES = {
    "another family": ("hifigan", lambda: state("bigvgan"), HIFIGAN, "is a checkpoint of the family bigvgan, expected one of hifigan"),
    "the other way round": ("bigvgan", lambda: state("hifigan"), BIGVGAN, "of the family hifigan"),
    "no tensor": ("hifigan", lambda: without(state("hifigan"), "conv_post.bias"), HIFIGAN, "has no tensor conv_post.bias"),
    "one too many": ("hifigan", lambda: state("hifigan") | {"x.weight": torch.zeros(1)}, HIFIGAN, "has the tensor x.weight"),
    "another shape": ("hifigan", lambda: state("hifigan"), changed(HIFIGAN, num_mels=12), "conv_pre.weight of shape [8, 10, 7]"),
    "not finite": (
        "hifigan", lambda: state("hifigan") | {"conv_post.bias": torch.tensor([float("nan")])}, HIFIGAN, "not finite",
    ),
    "half of weight norm": ("hifigan", lambda: {"ups.0.weight_g": torch.ones(1)}, HIFIGAN, "without ups.0.weight_v"),
    "no norm": (
        "hifigan", lambda: {"ups.0.weight_g": torch.ones(3, 1), "ups.0.weight_v": torch.ones(2, 1)}, HIFIGAN, "is no norm of",
    ),
    "no tensors": ("hifigan", lambda: {"generator": {"a": 1}}, HIFIGAN, "holds no tensors by name"),
    "no dictionary": ("hifigan", lambda: [1, 2], HIFIGAN, "holds no tensors by name"),
    "no key": ("hifigan", lambda: state("hifigan"), changed(HIFIGAN, fmin="left out"), "has no fmin"),
    "nonsense": ("hifigan", lambda: state("hifigan"), changed(HIFIGAN, upsample_kernel_sizes=3), "makes no sense"),
    "no number": ("hifigan", lambda: state("hifigan"), changed(HIFIGAN, sampling_rate="8 kHz"), "makes no sense"),
    "no JSON": ("hifigan", lambda: state("hifigan"), "{", "is no JSON"),
    "a list": ("hifigan", lambda: state("hifigan"), "[]", "has no fields"),
    "another head": (
        "vocos", lambda: state("vocos"), VOCOS | {"head": {"class_path": "vocos.heads.IMDCTCosHead"}}, "head.class_path",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_model_is_refused_in_a_sentence(run, tmp_path, case):
    family, checkpoint, config, words = CASES[case]
    code, said, output = run(family, checkpoint(), config)
    assert code == 2 and words in said and said.count("\n") == 1 and said.startswith("convert: "), said
    assert not output.exists() and not list(tmp_path.glob(".*")), "something was written"


def test_files_that_are_none(run, tmp_path, capsys):
    code, _, output = run("hifigan", state("hifigan"), HIFIGAN)
    before = output.read_bytes()
    assert code == 0 and run("hifigan", state("hifigan"), HIFIGAN)[0] == 2, "was written over"
    assert output.read_bytes() == before
    assert run("hifigan", state("hifigan"), HIFIGAN, "-y")[0] == 0

    class Code:
        def __reduce__(self):
            return (print, ("code in a checkpoint was run",))

    other = str(tmp_path / "other.safetensors")
    torch.save(Code(), tmp_path / "evil")
    (tmp_path / "noise").write_bytes(b"no checkpoint")
    for name, words in (("evil", "without running code"), ("noise", "is no checkpoint"), ("nowhere", "is no file")):
        assert convert.main(["hifigan", str(tmp_path / name), "-o", other]) == 2
        heard = capsys.readouterr()
        assert words in heard.err and heard.err.count("\n") == 1 and not heard.out, heard
    arguments = ["hifigan", str(tmp_path / "checkpoint"), str(tmp_path / "config.json")]
    for output in ("checkpoint", "config.json", "nowhere/m.safetensors"):
        before = (tmp_path / "checkpoint").read_bytes()
        assert convert.main([*arguments, "-y", "-o", str(tmp_path / output)]) == 2
        assert (tmp_path / "checkpoint").read_bytes() == before


def test_it_runs_without_the_rest_of_the_package(tmp_path):
    """Where the extension was not built, or binds to another torch."""
    script = [sys.executable, convert.__file__]
    assert subprocess.run([*script, "--help"], capture_output=True, cwd=tmp_path).returncode == 0
    missing = subprocess.run([*script, "hifigan", "nowhere", "-o", "x"], capture_output=True, cwd=tmp_path, text=True)
    assert missing.returncode == 2 and missing.stderr == "convert: nowhere: is no file\n"
