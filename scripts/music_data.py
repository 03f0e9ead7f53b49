#!/usr/bin/env python3
"""Free music at 44.1 kHz to train a full-band model on, and clips that no training may hear.

    pip install numpy scipy soundfile
    apt-get download 0ad-data ufoai-music ...        into DEBS; every package of SOURCES, nothing has to be installed
    git clone --bare https://github.com/OWNER/NAME   into REPOSITORIES/OWNER+NAME/repo; every repository of SOURCES
    python3 scripts/music_data.py DEBS REPOSITORIES OUT [--scale 1]

OUT/train and OUT/unheard hold mono 16 bit FLAC at 44.1 kHz, OUT/*.tsv list each file with its source, licence, author,
bandwidth and checksum. What is unheard are whole packages, repositories, albums or instruments.

Only what is public domain, CC0, MIT, CC BY or CC BY-SA trains; Debian's machine-readable copyright files say it file by
file, and what they leave to the GPL or to nobody is left out. Lossy encoders cut the treble: a piece whose spectrum falls
off a cliff below 18 kHz would teach that music ends there, and is left out too.
"""
import argparse
import fnmatch
import glob
import hashlib
import io
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 44_100
# Seconds of a piece that trains, and of a clip that judges.
PIECE, CLIP = 20, 5
# Hz; a cliff below it is an encoder's or a resampler's.
LEAST_BANDWIDTH = 18_000
FREE = re.compile(r"(CC0|CC-BY-(SA-)?[234]|MIT|public-domain)", re.I)

# (name, file or commit, SHA-256 of the package, path inside, files, most minutes, kind)
# A path that ends in .zip or .pk3 is an archive inside the package. The licence is that of the package's copyright file, or
# of the repository as read in its licence file.
PACKAGES = [
    ("0ad-data", "0ad-data_0.0.26-1_all.deb", "53745ae74d05bccf", "usr/share/games/0ad/mods/public/public.zip", "audio/music/*.ogg", 60, "mix"),
    ("ufoai-music", "ufoai-music_2.5-2_all.deb", "2465d55e9dce75a3", "usr/share/games/ufoai/base/0music.pk3", "music/*.ogg", 35, "electronic"),
    ("supertuxkart-data", "supertuxkart-data_1.4+dfsg-2_all.deb", "568d69cda50dc8ad", "usr/share/games/supertuxkart", "data/music/*.ogg", 25, "electronic"),
    ("marsshooter-data", "marsshooter-data_0.7.6-7_all.deb", "b8d040a9739434f2", "usr/share/games/marsshooter", "audio/music/*.ogg", 25, "electronic"),
    ("fretsonfire-songs-sectoid", "fretsonfire-songs-sectoid_1.dfsg-3.1_all.deb", "14c1ed3e43c1a6a8", "usr/share/games/fretsonfire", "*.ogg", 20, "rock"),
    ("sonic-pi-samples", "sonic-pi-samples_3.2.2~repack-8_all.deb", "25f2312d2fae005e", "usr/share/sonic-pi", "samples/*.flac", 5, "drums"),
    ("hydrogen-drumkits", "hydrogen-drumkits_2017.09.19~dfsg-1_all.deb", "6ea3c6df9a67762e", "usr/share/hydrogen/data", "drumkits/*", 3, "drums"),
]
# Names of files that a copyright file gives with other folders before them.
COPYRIGHT_PATH = {
    "0ad-data": "binaries/data/{}", "ufoai-music": "base/{}", "supertuxkart-data": "{}",
    "marsshooter-data": "data/{}", "fretsonfire-songs-sectoid": "{}", "sonic-pi-samples": "etc/{}", "hydrogen-drumkits": "{}",
}
# (repository, commit, licence, author, pattern, minutes, kind, notes a second); notes are laid over one another at random,
# as they would be played. None: the files as they are.
REPOSITORIES = [
    ("sfzinstruments/DrumGizmo.MuldjordKit", "fc165714974a", "CC-BY-4.0", "Lars Muldjord", "*Samples/*.flac", 25, "drums", 5),
    ("sfzinstruments/SplendidGrandPiano", "1c595d827b7f", "public-domain", "AKAI", "Samples/*.flac", 15, "piano", 3),
    ("sfzinstruments/karoryfer.weresax", "595d1fc1044e", "CC0-1.0", "Karoryfer Lecolds", "Samples/*.wav", 8, "sax", 1),
    ("sfzinstruments/karoryfer.meatbass", "ac9e859564bd", "CC0-1.0", "Karoryfer Lecolds", "Samples/*.wav", 10, "bass", 2),
    ("kmturley/karoryfer.black-and-green-guitars", "f370da48d378", "CC0-1.0", "Karoryfer Lecolds", "Samples/*.wav", 12, "guitar", 3),
    ("sfzinstruments/Karoryfer.HorsePulse", "6f4749d54512", "CC0-1.0", "Karoryfer Lecolds", "Samples/*.wav", 3, "bass", 3),
    ("MTG/sms-tools-materials", "3727b58cfd77", "CC-BY-4.0", "MTG, UPF Barcelona", "sounds/*.wav", 5, "", None),
]
# What is never trained on: whole sources, instruments, or albums (all that one author made), and how they are judged.
UNHEARD = [
    ("hydrogen-drumkits/*", "drums"), ("sonic-pi-samples/*loop_*", "drums"), ("sonic-pi-samples/*bass_*", "bass"),
    ("sonic-pi-samples/*", "effects"), ("*HorsePulse/*", "bass"), ("*guitars/Samples/black/*", "guitar"),
    ("*sms-tools-materials/*sing*", "vocal"), ("*sms-tools-materials/*carnatic*", "vocal"), ("*sms-tools-materials/*vignesh*", "vocal"),
    ("*sms-tools-materials/*soprano*", "vocal"), ("*sms-tools-materials/*speech*", "speech"), ("*sms-tools-materials/*cello*", "strings"),
    ("*sms-tools-materials/*violin*", "strings"), ("*sms-tools-materials/*piano*", "piano"), ("*sms-tools-materials/*vibraphone*", "piano"),
    ("*sms-tools-materials/*orchestra*", "mix"), ("*sms-tools-materials/*rain*", "effects"), ("*sms-tools-materials/*ocean*", "effects"),
    ("*sms-tools-materials/*flute*", "wind"), ("*sms-tools-materials/*sax*", "wind"), ("*sms-tools-materials/*bendir*", "drums"),
    ("*sms-tools-materials/*mridangam*", "drums"), ("*sms-tools-materials/*", ""),  # test tones: neither
    ("supertuxkart-data/*garden*", "electronic"), ("supertuxkart-data/*valley*", "electronic"), ("supertuxkart-data/*Lava*", "electronic"),
    ("marsshooter-data/*Ezer_Ev*", "electronic"), ("marsshooter-data/*Elveszett*", "electronic"), ("marsshooter-data/*Vermocsar*", "electronic"),
    ("marsshooter-data/*Misanthropia*", "electronic"), ("0ad-data/*Taiko*", "drums"), ("0ad-data/*Celtic*", "mix"), ("0ad-data/*Harvest*", "mix"),
    ("0ad-data/*Eastern_Dreams*", "mix"), ("ufoai-music/*azrael*", "mix"), ("ufoai-music/*van_*", "mix"),
]


def unheard(name):
    """How the file is judged; None where it may train, an empty text where it does neither."""
    return next((kind for pattern, kind in UNHEARD if fnmatch.fnmatch(name, pattern)), None)


def licences(text):
    """[(patterns, licence, author)] of a machine-readable copyright file; later ones go before earlier ones."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        fields, key = {}, None
        for line in block.split("\n"):
            m = re.match(r"([A-Za-z-]+):\s*(.*)$", line)
            if m:
                key = m[1]
                fields[key] = m[2]
            elif key:
                fields[key] += "\n" + line.strip()
        if "Files" in fields and "License" in fields:
            who = "; ".join(fields.get("Copyright", "").split("\n"))
            found.append((fields["Files"].split(), fields["License"].split("\n")[0].strip(), who.strip("; ")))
    if not found and "Permission is hereby granted, free of charge" in text:
        found.append((["*"], "MIT", re.search(r"Copyright \(c\) (.*)", text)[1]))
    return found


def licence(rules, name):
    hits = [(what, who) for patterns, what, who in rules if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    return hits[-1] if hits else ("", "")


def package_files(folder, name, file, checksum, inside, pattern):
    """(name, licence, author, bytes) of the package's free recordings, one after another."""
    path = os.path.join(folder, file)
    with open(path, "rb") as f:
        found = hashlib.file_digest(f, "sha256").hexdigest()
    if not found.startswith(checksum):
        sys.exit(f"{path}: SHA-256 is {found}, expected {checksum}...: get the version that the name says")

    def member(wanted):
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE)
        out = subprocess.run(["tar", "xO", "--wildcards", wanted], stdin=tar.stdout, stdout=subprocess.PIPE, check=True).stdout
        tar.stdout.close()
        tar.wait()
        return out

    cache = os.path.join(folder, "unpacked", name)
    copyright_file = os.path.join(cache, "copyright")
    if not os.path.exists(copyright_file):
        os.makedirs(cache, exist_ok=True)
        if inside.endswith((".zip", ".pk3")):
            archive = zipfile.ZipFile(io.BytesIO(member("./" + inside)))
            for entry in archive.namelist():
                if fnmatch.fnmatch(entry, pattern):
                    archive.extract(entry, cache)
        else:
            tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE)
            depth = str(len(inside.split("/")) + 1)
            subprocess.run(["tar", "x", "-C", cache, "--strip-components", depth, "./" + inside], stdin=tar.stdout, check=True)
            tar.stdout.close()
            tar.wait()
        with open(copyright_file, "wb") as f:
            f.write(member(f"./usr/share/doc/{name}/copyright"))
    with open(copyright_file, encoding="utf8", errors="replace") as f:
        rules = licences(f.read())
    for found in sorted(glob.glob(os.path.join(cache, "**"), recursive=True)):
        short = os.path.relpath(found, cache)
        if not fnmatch.fnmatch(short, pattern) or not found.lower().endswith((".ogg", ".flac", ".wav")):
            continue
        stated = COPYRIGHT_PATH[name].format(short)
        if name == "hydrogen-drumkits":  # stated for the archive that the folder was
            stated = "/".join(short.split("/")[:2]).removesuffix(" v4") + ".h2drumkit"
        what, who = licence(rules, stated)
        if FREE.match(what):
            yield f"{name}/{short}", what, who, lambda found=found: open(found, "rb").read()


def repository_files(folder, repository, commit, pattern):
    git = ["git", "-C", os.path.join(folder, repository.replace("/", "+"), "repo")]
    for path in subprocess.run([*git, "ls-tree", "-rz", "--name-only", commit], capture_output=True, text=True, check=True).stdout.split("\0"):
        if fnmatch.fnmatch(path, pattern):
            yield f"{repository}/{path}", lambda path=path: subprocess.run([*git, "show", f"{commit}:{path}"], capture_output=True, check=True).stdout


def at_rate(sound, rate):
    divisor = np.gcd(rate, RATE)
    return sound if rate == RATE else resample_poly(sound, RATE // divisor, rate // divisor).astype(np.float32)


def bandwidth(sound):
    """Hz up to which a piece has anything: where the loud moments' levels fall by 18 dB and stay there."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 2048)[::2048]
    if len(frames) < 4:
        return RATE / 2
    power = np.abs(np.fft.rfft(frames * np.hanning(2048), axis=1)) ** 2
    loud = 10 * np.log10(np.percentile(power, 95, axis=0) + 1e-10)
    bands = loud[:1020].reshape(-1, 5).mean(1)  # of 108 Hz
    hz = RATE / 2048 * 5
    for edge in range(int(4000 / hz), int(20_000 / hz)):
        below, above = bands[int(0.84 * edge) : int(0.97 * edge)].mean(), bands[int(1.03 * edge) + 1 : -3].max()
        if below - above > 18:
            return edge * hz
    return RATE / 2


def channel(sound, turn):
    """Left, right and middle in turn: a stereo recording is rendered channel by channel."""
    if sound.ndim == 1 or sound.shape[1] == 1:
        return sound.reshape(-1)
    return [sound[:, 0], sound[:, 1], sound[:, :2].mean(1)][turn % 3]


class Out:
    def __init__(self, folder):
        self.folder, self.minutes, self.seen = folder, {}, set()
        self.lists = {}
        for side in ("train", "unheard"):
            os.makedirs(os.path.join(folder, side), exist_ok=True)
            self.lists[side] = open(os.path.join(folder, f"{side}.tsv"), "w")
            self.lists[side].write("file\tkind\tsource\tlicence\tauthor\tbandwidth_hz\tsha256\n")

    def write(self, side, kind, source, what, who, sound):
        """Whether the piece was good enough."""
        if len(sound) < RATE or np.sqrt((sound**2).mean()) < 1e-3:
            return False
        edge = bandwidth(sound)
        if edge < LEAST_BANDWIDTH and not (side == "unheard" and kind in ("bass", "vocal", "speech", "strings", "piano")):
            return False
        pcm = np.round(np.clip(sound / max(1.0, np.abs(sound).max()), -1, 1) * 32_767).astype(np.int16)
        checksum = hashlib.sha256(pcm.tobytes()).hexdigest()
        if checksum in self.seen:
            return False
        self.seen.add(checksum)
        # A package, or owner and name of a repository.
        source_name = source.split("/")[0 if source.split("/")[0] in COPYRIGHT_PATH else 1]
        number = self.minutes.setdefault((side, source_name), [0, 0.0])
        number[0] += 1
        number[1] += len(pcm) / RATE / 60
        name = f"{kind}-{source_name}-{number[0]:04}.flac"
        soundfile.write(os.path.join(self.folder, side, name), pcm, RATE)
        self.lists[side].write("\t".join([name, kind, source, what, who, str(round(edge)), checksum[:16]]) + "\n")
        self.lists[side].flush()
        return True


def pieces(data, seconds, most):
    """Up to `most` pieces, evenly over the recording; only they are decoded."""
    with soundfile.SoundFile(io.BytesIO(data)) as f:
        length = int(seconds * f.samplerate)
        count = max(1, min(most, f.frames // length))
        for i in range(count):
            f.seek(int((f.frames - min(length, f.frames)) * (i + 0.5) / count))
            sound = f.read(length, dtype="float32", always_2d=True)
            yield at_rate(channel(sound, i), f.samplerate)


def played(notes, seconds, a_second, random):
    """Notes one over another, at random times."""
    out = np.zeros(int(seconds * RATE) + 8 * RATE, np.float32)
    at = 0.0
    while at < seconds:
        note = notes[random.integers(len(notes))][: 8 * RATE] * random.uniform(0.3, 1.0)
        start = int(at * RATE)
        out[start : start + len(note)] += note
        at += random.exponential(1 / a_second)
    out = out[: int(seconds * RATE)]
    return out * (random.uniform(0.3, 0.9) / max(1e-6, np.abs(out).max()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debs")
    parser.add_argument("repositories")
    parser.add_argument("out")
    parser.add_argument("--scale", type=float, default=1.0, help="times the minutes of each source (default 1)")
    arguments = parser.parse_args()
    out, random = Out(arguments.out), np.random.default_rng(44)

    for repository, commit, what, who, pattern, minutes, kind, a_second in REPOSITORIES:
        short = repository.split("/")[1]
        files = list(repository_files(arguments.repositories, repository, commit, pattern))
        random.shuffle(files)
        for side in ("train", "unheard"):
            chosen = [(n, d) for n, d in files if (unheard(n) is None) == (side == "train")]
            if a_second is None:
                for n, data in chosen if side == "unheard" else []:
                    if unheard(n):
                        for sound in pieces(data(), CLIP, 2):
                            out.write(side, unheard(n), n, what, who, sound)
                continue
            if not chosen:
                continue
            notes = []
            for n, data in chosen[: 400 if side == "train" else 60]:
                sound, rate = soundfile.read(io.BytesIO(data()), dtype="float32", always_2d=True)
                notes.append(at_rate(channel(sound, len(notes)), rate))
            seconds, count = (PIECE, int(minutes * arguments.scale * 60 / PIECE)) if side == "train" else (CLIP, 4)
            for i in range(count):
                source = f"{repository}/{pattern}: {len(notes)} recordings, played at random"
                out.write(side, kind, source, what, who, played(notes, seconds, a_second, random))
        print(short, dict(out.minutes), flush=True)

    for name, file, checksum, inside, pattern, minutes, kind in PACKAGES:
        files = list(package_files(arguments.debs, name, file, checksum, inside, pattern))
        train = [f for f in files if unheard(f[0]) is None]
        each = max(1, int(np.ceil(minutes * arguments.scale * 60 / PIECE / max(1, len(train)))))
        hits = {}
        for n, what, who, data in files:
            judged = unheard(n)
            if name == "hydrogen-drumkits":  # hits, to be played
                sound, rate = soundfile.read(io.BytesIO(data()), dtype="float32", always_2d=True)
                hits.setdefault((n.split("/")[2], what, who), []).append(at_rate(channel(sound, 0), rate))
            elif judged is None:
                for sound in pieces(data(), PIECE, each):
                    out.write("train", kind, n, what, who, sound)
            elif judged:
                for sound in pieces(data(), CLIP, 2):
                    out.write("unheard", judged, n, what, who, sound)
        for (kit, what, who), notes in hits.items():
            for i in range(2):
                out.write("unheard", "guitar" if "Guitar" in kit else "drums", f"{name}/{kit}: played at random", what, who, played(notes, CLIP, 4, random))
        print(name, dict(out.minutes), flush=True)


if __name__ == "__main__":
    main()
