# Set-up, demo, tests. After any of these plain cargo build, cargo test and cargo run work as well.

CARGO ?= cargo
DEMO = demo

.PHONY: all setup demo test lint bench dist python clean-demo

all: setup
	$(CARGO) build --release

setup:
	@scripts/setup.sh

# Renders the mels in samples/ and says where the sound is.
demo: setup
	$(CARGO) build --release
	./target/release/audiodiff render samples/mels samples/music-stereo.flac -o $(DEMO) -y
	@echo "Listen to the WAV files in $(abspath $(DEMO)):"
	@find $(DEMO) -name '*.wav' | sort

test:
	@scripts/setup.sh tests
	scripts/test.sh

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	# The library as others build it: without its features, and with each alone.
	for features in "" builtin play lab; do \
	    $(CARGO) clippy -p audiodiff --lib --features "$$features" -- -D warnings || exit; done
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps -p audiodiff --features builtin,lab,play
	# Nobody who uses the library has to know what it computes with.
	! grep -rlE 'VarStore|TchError|Complex32|\b(tch|clap)::' target/doc/audiodiff --include='*.html'

bench: setup
	$(CARGO) bench

# A folder that runs wherever it is copied: the program, the libraries that it needs, licences, completions, manual pages.
dist: setup
	$(CARGO) build --release
	scripts/dist.sh

# The Python package as a wheel in target/wheels, installed in target/python and tested there. TORCH=torch==2.13.* tests with torch,
# RAY='ray[data]' on a Ray cluster of two nodes, which takes minutes more.
python: setup
	scripts/python.sh

clean-demo:
	rm -rf $(DEMO)
