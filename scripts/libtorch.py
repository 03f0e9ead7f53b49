#!/usr/bin/env python3
"""Puts a libtorch that tch can link against into ./libtorch (standard library and pip only).

    python3 scripts/libtorch.py                  the first of these that fits:
      1. $LIBTORCH, when it is set: checked, nothing is fetched.
      2. ./libtorch, when a former run completed it: done in a few milliseconds.
      3. a `torch` that python3 can import, when its version is the wanted one: linked, nothing is fetched.
      4. Linux: the CPU part of the PyPI wheel `torch==VERSION`, read member by member over HTTP ranges, so that the
         CUDA half of the wheel is never transferred. Elsewhere: PyTorch's own libtorch archive.
    python3 scripts/libtorch.py cu130            PyTorch's own archive of that build (cpu, cu126, cu130 ...)
    python3 scripts/libtorch.py FILE.zip|URL     that archive

An interrupted fetch goes on at the byte where it stopped.
"""
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib

VERSION = "2.13.0"  # what tch 0.26 binds to
# Libraries that libtorch_cpu.so names as needed but never calls without a GPU.
CUDA_STUBS = {"nvidia-cuda-runtime==13.0.96": "libcudart.so.13", "nvidia-cuda-cupti==13.0.85": "libcupti.so.13"}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.path.join(ROOT, "libtorch")
STAMP = os.path.join(TARGET, "complete")
CHUNK = 1 << 20


def say(text):
    print(f"libtorch: {text}", file=sys.stderr, flush=True)


def fail(text):
    say(text)
    sys.exit(1)


def wheel_url(requirement):
    """Asks pip's resolver where the wheel lies; pip's own mirrors and certificates are respected."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
               "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12", "--report", "-",
               "--target", os.path.join(TARGET, "never-written"), requirement]
    for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux_2_25"):
        command += ["--platform", f"{tag}_{platform.machine()}"]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_BREAK_SYSTEM_PACKAGES": "1"})
    if run.returncode != 0:
        fail(f"pip could not find {requirement}: {run.stderr.strip()[-400:]}; pip 22.2 or newer is needed "
             "(python3 -m pip install --upgrade pip), or unpack PyTorch's libtorch archive and set LIBTORCH to it")
    return json.loads(run.stdout)["install"][0]["download_info"]["url"]


def ranged(url, first, last=""):
    """The open response for bytes first..last of url."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={first}-{last}"})
    response = urllib.request.urlopen(request, timeout=60)
    if response.status != 206:
        fail(f"the package server ignores byte ranges; download libtorch {VERSION} by hand and set LIBTORCH to it")
    return response


def retried(action):
    """Runs action again after a lost connection: five times, then the error is the user's to read."""
    for attempt in range(5):
        try:
            return action()
        except (urllib.error.URLError, TimeoutError, ConnectionError, OSError) as error:
            if attempt == 4:
                fail(f"the download broke off ({error}); run the same command again, it goes on where it stopped")
            say(f"connection lost ({error}), trying again")
            time.sleep(2 ** attempt)


def append(source, part, size):
    """Appends what `source` gives to the file `part`, which is to become `size` bytes long."""
    have, shown = os.path.getsize(part) if os.path.exists(part) else 0, time.time()
    with open(part, "ab") as sink:
        while block := source.read(CHUNK):
            sink.write(block)
            have += len(block)
            if time.time() - shown > 2 and sys.stderr.isatty():
                shown = time.time()
                print(f"\r  {have >> 20} of {size >> 20} MiB ", end="", file=sys.stderr, flush=True)
    if have < size:
        raise ConnectionError(f"{have} of {size} bytes came")


class RemoteZip:
    """The member table of a zip archive that lies behind a URL."""

    def __init__(self, url):
        self.url = url
        head = retried(lambda: ranged(url, 0, 0))
        size = int(head.headers["Content-Range"].rsplit("/", 1)[1])
        tail_at = max(0, size - 70_000)
        tail = retried(lambda: ranged(url, tail_at, size - 1).read())
        end = tail.rindex(b"PK\x05\x06")
        length, offset = struct.unpack("<II", tail[end + 12:end + 20])
        zip64 = tail.rfind(b"PK\x06\x06", 0, end)
        if offset == 0xFFFFFFFF and zip64 >= 0:
            length, offset = struct.unpack("<QQ", tail[zip64 + 40:zip64 + 56])
        table = retried(lambda: ranged(url, offset, offset + length - 1).read())
        self.members, at = {}, 0
        while table[at:at + 4] == b"PK\x01\x02":
            method, = struct.unpack("<H", table[at + 10:at + 12])
            crc, packed, unpacked, name_len, extra_len, comment_len = struct.unpack("<IIIHHH", table[at + 16:at + 34])
            header, = struct.unpack("<I", table[at + 42:at + 46])
            name = table[at + 46:at + 46 + name_len].decode()
            extra = table[at + 46 + name_len:at + 46 + name_len + extra_len]
            while len(extra) >= 4:  # 64-bit sizes stand in the extra field, in this order, where the short ones are full
                tag, size = struct.unpack("<HH", extra[:4])
                if tag == 1:
                    wide = list(struct.unpack(f"<{size // 8}Q", extra[4:4 + size // 8 * 8]))
                    if unpacked == 0xFFFFFFFF:
                        unpacked = wide.pop(0)
                    if packed == 0xFFFFFFFF:
                        packed = wide.pop(0)
                    if header == 0xFFFFFFFF:
                        header = wide.pop(0)
                extra = extra[4 + size:]
            self.members[name] = (method, crc, packed, unpacked, header)
            at += 46 + name_len + extra_len + comment_len

    def _fetch(self, begin, part, packed):
        """Appends to `part` what it still lacks of the packed bytes."""
        have = os.path.getsize(part) if os.path.exists(part) else 0
        if have < packed:
            with ranged(self.url, begin + have, begin + packed - 1) as source:
                append(source, part, packed)

    def extract(self, name, target):
        """Writes member `name` to `target`, atomically and checked by its CRC-32."""
        if os.path.exists(target):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        method, crc, packed, _, header = self.members[name]
        local = retried(lambda: ranged(self.url, header, header + 29).read())
        begin = header + 30 + sum(struct.unpack("<HH", local[26:30]))
        part = target + ".part"
        if packed:
            retried(lambda: self._fetch(begin, part, packed))
        else:
            open(part, "wb").close()
        inflate, seen = zlib.decompressobj(-15) if method == 8 else None, 0
        with open(part, "rb") as source, open(target + ".new", "wb") as sink:
            while block := source.read(CHUNK):
                block = inflate.decompress(block) if inflate else block
                seen = zlib.crc32(block, seen)
                sink.write(block)
            if inflate:
                block = inflate.flush()
                seen = zlib.crc32(block, seen)
                sink.write(block)
        os.remove(part)
        if seen != crc:
            os.remove(target + ".new")
            fail(f"{name} arrived damaged (CRC-32 {seen:08x}, expected {crc:08x}); run the same command again")
        os.replace(target + ".new", target)


def headers(wheel):
    """The C++ headers are thousands of small members that lie together: one request for all of them."""
    names = [n for n in wheel.members if n.startswith("torch/include/") and not n.endswith("/")]
    if os.path.exists(os.path.join(TARGET, "include", "complete")):
        return
    first = min(wheel.members[n][4] for n in names)
    last = max(wheel.members[n][4] + wheel.members[n][2] for n in names) + 4096
    if last - first > 200 << 20:
        for name in names:
            wheel.extract(name, os.path.join(TARGET, name[len("torch/"):]))
    else:
        blob = retried(lambda: ranged(wheel.url, first, last).read())
        for name in names:
            method, crc, packed, _, header = wheel.members[name]
            at = header - first
            at += 30 + sum(struct.unpack("<HH", blob[at + 26:at + 30]))
            data = blob[at:at + packed]
            data = zlib.decompress(data, -15) if method == 8 else data
            if zlib.crc32(data) != crc:
                fail(f"{name} arrived damaged; run the same command again")
            path = os.path.join(TARGET, name[len("torch/"):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as sink:
                sink.write(data)
    open(os.path.join(TARGET, "include", "complete"), "w").close()


def from_wheel():
    say(f"fetching the CPU part of torch {VERSION} (about 200 MB, once)")
    wheel = RemoteZip(wheel_url(f"torch=={VERSION}"))
    lib = os.path.join(TARGET, "lib")
    os.makedirs(lib, exist_ok=True)
    headers(wheel)
    wanted = [n for n in wheel.members
              if os.path.basename(n) in ("libtorch_cpu.so", "libc10.so") or os.path.basename(n).startswith("libgomp")
              or n.startswith("torch.libs/")]
    for name in wanted:
        wheel.extract(name, os.path.join(lib, os.path.basename(name)))
    for name in wheel.members:
        if ".dist-info/" in name and os.path.basename(name) in ("LICENSE", "NOTICE"):
            wheel.extract(name, os.path.join(TARGET, os.path.basename(name)))
    if platform.machine() == "x86_64":
        for requirement, library in CUDA_STUBS.items():
            stub = RemoteZip(wheel_url(requirement))
            name = next(n for n in stub.members if os.path.basename(n) == library)
            stub.extract(name, os.path.join(lib, library))
    with open(os.path.join(lib, "libtorch.so"), "w") as script:  # the linker reads it as a script
        script.write("INPUT ( libtorch_cpu.so )\n")


def archive_url(build):
    """Where PyTorch keeps its libtorch archives."""
    system, machine = platform.system(), platform.machine().lower()
    if system == "Darwin":
        name = f"libtorch-macos-{'arm64' if machine == 'arm64' else 'x86_64'}-{VERSION}.zip"
    elif system == "Windows":
        name = f"libtorch-win-shared-with-deps-{VERSION}+{build}.zip"
    else:
        name = f"libtorch-shared-with-deps-{VERSION}+{build}.zip"
    return f"https://download.pytorch.org/libtorch/{build}/{urllib.parse.quote(name)}"


def download(url, path):
    """Fetches `url` to `path`; what a former run has of it is kept."""
    part = path + ".part"

    def fetch():
        have = os.path.getsize(part) if os.path.exists(part) else 0
        try:
            with ranged(url, have) as source:
                append(source, part, int(source.headers["Content-Range"].rsplit("/", 1)[1]))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                fail(f"{url} is not there; name another build, an archive's file or its URL")
            if error.code != 416 or not have:  # 416: nothing is missing
                raise

    retried(fetch)
    os.replace(part, path)


def from_archive(source):
    """Unpacks PyTorch's libtorch archive: a file, a URL or the name of a build."""
    path = source
    if not os.path.exists(source):
        url = source if "://" in source else archive_url(source)
        path = os.path.join(ROOT, "libtorch-archive.zip")
        say(f"fetching {url}")
        if not os.path.exists(path):
            download(url, path)
    say(f"unpacking {path}")
    unpacked = TARGET + ".new"
    shutil.rmtree(unpacked, ignore_errors=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    inner = os.path.join(unpacked, "libtorch")
    inner = inner if os.path.isdir(inner) else unpacked
    remove_target()
    os.replace(inner, TARGET)
    shutil.rmtree(unpacked, ignore_errors=True)
    if path != source:
        os.remove(path)


def version_of(folder):
    """The version of the torch in `folder`, as its headers say."""
    try:
        with open(os.path.join(folder, "include", "torch", "headeronly", "version.h")) as header:
            numbers = dict(re.findall(r"#define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)", header.read()))
        return ".".join(numbers[part] for part in ("MAJOR", "MINOR", "PATCH"))
    except (OSError, KeyError):
        return None


def remove_target():
    if os.path.islink(TARGET):
        os.remove(TARGET)
    shutil.rmtree(TARGET, ignore_errors=True)


def installed_torch():
    """The folder of an importable torch of the wanted version, or None. Not imported: that takes seconds."""
    probe = ("import importlib.util, importlib.metadata as m; s = importlib.util.find_spec('torch'); "
             "print(m.version('torch').split('+')[0], s.submodule_search_locations[0])")
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    if run.returncode == 0 and run.stdout.split(maxsplit=1)[0] == VERSION:
        return run.stdout.split(maxsplit=1)[1].strip()
    return None


def complete():
    """Whether ./libtorch is whole and of the wanted version."""
    if os.path.islink(TARGET):
        return version_of(TARGET) == VERSION
    try:
        with open(STAMP) as stamp:
            return stamp.read().strip() == VERSION
    except OSError:
        return False


def main():
    own = os.environ.get("LIBTORCH")
    if own:
        found = version_of(own)
        if found != VERSION:
            what = f"torch {found}" if found else "no libtorch with its headers"
            fail(f"LIBTORCH={own} is {what}, and {VERSION} is wanted: unset LIBTORCH, or point it at that version")
        return say(f"using LIBTORCH={own}")
    if len(sys.argv) > 1:
        from_archive(sys.argv[1])
        if version_of(TARGET) != VERSION:
            fail(f"the archive holds torch {version_of(TARGET)}, and {VERSION} is wanted")
    elif complete():
        return None
    elif folder := installed_torch():
        remove_target()
        os.symlink(folder, TARGET)
        return say(f"using the installed torch {VERSION} in {folder}")
    else:
        if version_of(TARGET) not in (None, VERSION) or os.path.islink(TARGET):
            remove_target()
        os.makedirs(TARGET, exist_ok=True)
        if platform.system() == "Linux":
            from_wheel()
        else:
            from_archive("cpu")
    with open(STAMP, "w") as stamp:
        stamp.write(VERSION + "\n")
    return say(f"torch {VERSION} is ready in {TARGET}")


if __name__ == "__main__":
    main()
