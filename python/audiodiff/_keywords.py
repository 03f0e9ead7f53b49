"""The library writes its settings as `setting`; here they become keywords."""
import re

_PHRASES = [
    ("`audiodiff mel conventions` lists the presets", "audiodiff.conventions() has them all"),
    ("`audiodiff mel conventions` with `json` prints complete ones", "audiodiff.conventions() has complete ones"),
    ("a name of audiodiff mel conventions", "a name in audiodiff.conventions()"),
    (" (audiodiff mel info shows all)", ""),
    ("or build with a CUDA libtorch (`audiodiff doctor` says which is in use)", "or install a torch with CUDA"),
    ("`audiodiff mel conventions` with `json`", "audiodiff.conventions()"),
    ("give `overwrite` to overwrite it or `skip` to skip it", 'give existing="overwrite" or existing="skip"'),
    ("give `overwrite` to overwrite them or `skip` to skip them", 'give existing="overwrite" or existing="skip"'),
    ("give `overwrite` to make it again or `skip` to leave it", 'give existing="overwrite" or existing="skip"'),
    ("with `output`, one that ends in / or is there", "with out_dir"),
    ("with `output`", "with out_dir"),
    ("split it into a file for each: mel[0], mel[1], …", "give one of them, mel[0], or a batch of three axes"),
    ("bands-first or frames-first", "bands_first or frames_first"),
]
_NAMES = {
    "final_iterations": 'effort["final_iterations"]',
    "gain": "gain_db",
    "iterations": 'effort["iterations"]',
    "loudness": "loudness_lufs",
    "recording": "recordings",
    "start_iterations": 'effort["start_iterations"]',
    "steps": 'effort["steps"]',
}
# A setting, and the value behind it: a number, a placeholder in capitals, one of the layouts, a device or a word with a hyphen or
# a digit, which is a convention's name. Anything else is the sentence going on.
_SETTING = re.compile(
    r"`([a-z][a-z_]*)`(?: (-?\d+(?:\.\d+)?|[A-Z]{2,}|cpu|riffusion|bands_first|frames_first|[a-z]\w*(?:[-.]\w+)+|[a-z]+\d\w*)(?![\w-]))?"
)


def in_keywords(message: str) -> str:
    """`message` with keywords in the place of settings."""
    for words, keywords in _PHRASES:
        message = message.replace(words, keywords)
    return _SETTING.sub(_keyword, message)


def _keyword(setting: "re.Match[str]") -> str:
    name = _NAMES.get(setting[1], setting[1])
    value = setting[2]
    if value is None:
        return name
    plain = value.isupper() or value.lstrip("-").replace(".", "").isdigit()
    return f"{name}={value}" if plain else f'{name}="{value}"'
