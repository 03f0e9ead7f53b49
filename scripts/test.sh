#!/bin/bash
# Runs every test and closes with the sum over all of cargo's test binaries, in cargo's own words.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
"${CARGO:-cargo}" test --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

awk -v status="$status" '
    /^test result: / { passed += $4; failed += $6; ignored += $8; binaries++ }
    END {
        word = (status == 0 && failed == 0) ? "ok" : "FAILED"
        printf "test result: %s. %d passed; %d failed; %d ignored; in %d test binaries\n", word, passed, failed, ignored, binaries
    }' "$log"
exit "$status"
