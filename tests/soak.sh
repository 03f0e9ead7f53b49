#!/bin/sh
# Plays for a while into a null sink of its own while one core is kept busy, and fails on an underrun or growing memory.
#
#   tests/soak.sh [SECONDS [PROGRAM]]      600 seconds and target/release/audiodiff where not given
#
# Wants pulseaudio, pulseaudio-utils and libasound2-plugins; exits with 77 (skipped) where they are missing.
set -eu

seconds=${1:-600}
here=$(cd "$(dirname "$0")/.." && pwd)
program=${2:-$here/target/release/audiodiff}
for needed in pulseaudio pactl; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed"; exit 77; }
done

folder=$(mktemp -d)
mkdir "$folder/run"
export HOME="$folder" XDG_RUNTIME_DIR="$folder/run" PULSE_SERVER="unix:$folder/socket"
export ALSA_CONFIG_PATH="$folder/asound.conf"
echo "pcm.!default { type pulse server \"$PULSE_SERVER\" }" >"$ALSA_CONFIG_PATH"
daemon='' busy='' player=''
clean_up() {
    for process in $player $busy $daemon; do kill "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 \
    --load="module-native-protocol-unix socket=$folder/socket auth-anonymous=1" \
    --load="module-null-sink sink_name=test rate=48000 channels=2" 2>"$folder/log" &
daemon=$!
tries=0
until pactl list short sinks >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$folder/log"; exit 1; }
    sleep 0.1
done

# One core with nothing else to do.
while :; do :; done &
busy=$!

"$program" play --loop --json "$here/samples/speech-en.wav" "$here/samples/music.wav" >"$folder/summary" &
player=$!

resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$player/status"; }
# The first two rounds fill caches and buffers.
warm=$((seconds > 60 ? 30 : seconds / 2))
sleep "$warm"
first=$(resident)
most=$first
end=$(($(date +%s) + seconds - warm))
while [ "$(date +%s)" -lt "$end" ]; do
    sleep 1
    now=$(resident)
    [ "$now" -le "$most" ] || most=$now
done
kill -INT "$player"
wait "$player" || [ $? -eq 130 ]
player=''

grown=$((most - first))
cat "$folder/summary"
echo "resident memory: $first kB after $warm s, at most $most kB: grown by $grown kB"
grep -q '"underruns":0[,}]' "$folder/summary" || { echo "failed: there were underruns"; exit 1; }
[ "$grown" -le 10240 ] || { echo "failed: memory grew by more than 10 MB"; exit 1; }
