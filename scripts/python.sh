#!/bin/bash
# Builds the Python package, installs it in a fresh virtual environment and runs its tests against the program. Arguments go to
# cargo and to maturin: --profile dev, for instance. AUDIODIFF_PROGRAM is a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- --release
environment=target/python

"${PYTHON:-python3}" -m venv --clear "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check "maturin>=1.9,<2" "numpy>=1.26" "pytest>=8" ${TORCH:+"$TORCH"} \
    ${RAY:+"$RAY" soundfile}
program=${AUDIODIFF_PROGRAM:-$("${CARGO:-cargo}" build --bin audiodiff --message-format json-render-diagnostics "$@" |
    python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')}
rm -rf target/wheels
"$environment/bin/maturin" build --manifest-path python/Cargo.toml --interpreter "$environment/bin/python" --out target/wheels "$@"
"$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps target/wheels/audiodiff-*.whl
ls -l target/wheels/
AUDIODIFF_PROGRAM=$program "$environment/bin/pytest" -q python/tests
