#!/bin/sh
# Renders the golden values of what ships anew: make.sh PROGRAM. To be run only where the sound is meant to change.
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")"
for quality in draft standard; do
    for mel in speech:f5-tts music:f5-tts foreign:hifigan-22k; do
        name=${mel%:*}
        "$program" render "$name.npy" -y -o "$name.$quality.wav" --convention "${mel#*:}" --quality "$quality" \
            --seed 0 --device cpu --precision f32 --threads 1 --jobs 1 --format pcm24
    done
done
