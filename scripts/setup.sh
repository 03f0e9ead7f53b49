#!/bin/sh
# Installs what a bare Debian or Ubuntu lacks for building (and, with "tests", for testing with a sound device and a browser), then
# puts libtorch in place. As root or through sudo; otherwise it prints the one command to run. Done already: no time at all.
set -eu
cd "$(dirname "$0")/.."

packages="g++ libasound2-dev make pkg-config"
[ "${1:-}" = tests ] && packages="$packages chromium libasound2-plugins pulseaudio pulseaudio-utils"

missing=
if command -v dpkg-query >/dev/null; then
    for package in $packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
    done
elif ! command -v c++ >/dev/null || ! pkg-config --exists alsa 2>/dev/null && [ "$(uname)" = Linux ]; then
    echo "setup: this is neither Debian nor Ubuntu: install a C++ compiler, pkg-config and ALSA's headers, then go on" >&2
    exit 1
fi

if [ -n "$missing" ]; then
    echo "setup: installing$missing" >&2
    install="apt-get install -y --no-install-recommends$missing"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        echo "setup: this needs root; run: su -c 'apt-get update && $install'" >&2
        exit 1
    fi
    $as_root apt-get update -q >&2
    # shellcheck disable=SC2086 # the words are separate arguments
    $as_root env DEBIAN_FRONTEND=noninteractive $install >&2
fi

for tool in cargo python3; do
    if ! command -v "$tool" >/dev/null; then
        echo "setup: $tool is missing; get it from your system or, for cargo, from https://rustup.rs" >&2
        exit 1
    fi
done
exec python3 scripts/libtorch.py
