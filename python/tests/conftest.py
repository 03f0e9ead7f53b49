from pathlib import Path

import audiodiff
import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def vocoder():
    """One thread, single precision: what is compared is compared sample by sample."""
    return audiodiff.Vocoder(device="cpu", precision="f32", threads=1)


@pytest.fixture(scope="session")
def mel():
    """[100, 48], half a second of speech by the model's own convention."""
    mel = np.load(REPOSITORY / "samples/mels/speech-synthetic.npy").astype(np.float32)
    mel = mel.reshape(mel.shape[-2:])
    assert mel.shape[0] == 100
    return np.ascontiguousarray(mel[:, 40:88])


@pytest.fixture()
def render(vocoder):
    def call(mel, **keywords):
        return vocoder(mel, **{"convention": "f5-tts", "quality": "draft", **keywords})

    return call
