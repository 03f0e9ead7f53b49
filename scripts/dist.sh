#!/bin/bash
# Puts dist/audiodiff-<version>-<system> together from target/release (or the program given): it runs from any place, with no library installed.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-target/release/audiodiff}
version=$("$program" --version | awk '{ print $2 }')
folder="dist/audiodiff-$version-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)"

rm -rf "$folder"
mkdir -p "$folder/lib" "$folder/completions" "$folder/man" "$folder/licenses"
cp "$program" "$folder/"
strip --strip-debug "$folder/audiodiff"
# Everything of libtorch that the program needs, and nothing of the system's own.
ldd "$program" | awk '$3 ~ /\// { print $1, $3 }' | while read -r name path; do
    case "$name" in
        libtorch* | libc10* | libgomp* | libcud* | libcu[a-z]* | libnv*) cp -L "$path" "$folder/lib/$name" ;;
    esac
done
cp LICENSE-MIT LICENSE-APACHE "$folder/licenses/"
cp samples/README.md "$folder/licenses/SAMPLES.md"
for file in LICENSE NOTICE; do
    if [ -e "libtorch/$file" ]; then cp "libtorch/$file" "$folder/licenses/libtorch-$file"; fi
done
if [ -e README.md ]; then cp README.md "$folder/"; fi
"$program" completions bash >"$folder/completions/audiodiff.bash"
"$program" completions zsh >"$folder/completions/_audiodiff"
"$program" completions fish >"$folder/completions/audiodiff.fish"
"$program" man --output "$folder/man"

# The copy, not the one in target/, must start: its libraries are found beside it.
env -u LD_LIBRARY_PATH "$folder/audiodiff" --version >/dev/null
foreign=$(cd / && ldd "$OLDPWD/$folder/audiodiff" | awk -v own="$OLDPWD/$folder" '/libtorch|libc10|libgomp/ && index($3, own) != 1 { print $1 }')
if [ -n "$foreign" ]; then
    echo "dist: not found beside the program: $foreign" >&2
    exit 1
fi
du -sh "$folder"
