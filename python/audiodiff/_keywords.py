"""The library advises in the words of the program; here its flags become keywords."""
import re

_PHRASES = [
    ("`audiodiff mel conventions` lists the presets", "audiodiff.conventions() has them all"),
    ("`audiodiff mel conventions --json` prints complete ones", "audiodiff.conventions() has complete ones"),
    ("a name of audiodiff mel conventions", "a name in audiodiff.conventions()"),
    (" (audiodiff mel info shows all)", ""),
    ("or build with a CUDA libtorch (`audiodiff doctor` says which is in use)", "or install a torch with CUDA"),
    ("give -y to overwrite it or -n to skip it", 'give existing="overwrite" or existing="skip"'),
    ("give -y to overwrite them or -n to skip them", 'give existing="overwrite" or existing="skip"'),
    ("give -y to make it again or -n to leave it", 'give existing="overwrite" or existing="skip"'),
    ("with -o, one that ends in / or is there", "with out_dir"),
    ("with -o", "with out_dir"),
    ("split it into a file for each: mel[0], mel[1], …", "give one of them, mel[0], or a batch of three axes"),
    ("bands-first or frames-first", "bands_first or frames_first"),
]
_NAMES = {
    "final-iterations": 'effort["final_iterations"]',
    "gain": "gain_db",
    "iterations": 'effort["iterations"]',
    "loudness": "loudness_lufs",
    "recording": "recordings",
    "start-iterations": 'effort["start_iterations"]',
    "steps": 'effort["steps"]',
}
# A flag, and the value behind it: a number, a placeholder in capitals, one of the layouts, a device or a word with a hyphen or
# a digit, which is a convention's name. Anything else is the sentence going on.
_FLAG = re.compile(
    r"--([a-z][a-z-]*)(?: (-?\d+(?:\.\d+)?|[A-Z]{2,}|cpu|riffusion|bands_first|frames_first|[a-z]\w*(?:[-.]\w+)+|[a-z]+\d\w*)(?![\w-]))?"
)


def in_keywords(message: str) -> str:
    """`message` with keywords in the place of the program's flags."""
    for flags, keywords in _PHRASES:
        message = message.replace(flags, keywords)
    return _FLAG.sub(_keyword, message)


def _keyword(flag: "re.Match[str]") -> str:
    name = _NAMES.get(flag[1], flag[1].replace("-", "_"))
    value = flag[2]
    if value is None:
        return name
    plain = value.isupper() or value.lstrip("-").replace(".", "").isdigit()
    return f"{name}={value}" if plain else f'{name}="{value}"'
