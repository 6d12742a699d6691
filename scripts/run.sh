#!/bin/sh
# All that make and npm do here: `sh scripts/run.sh build`, `… lint host runtime`, `… dev --port 8790`.
# Each command fetches what it lacks (setup.sh). With WRANGLER_COMMAND this is wrangler's [build].
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

GZIP_MAX=500000 # bytes of wasm
CI_LIMIT=1800   # seconds for all tests on the runtime

# Its own words first: what it does not know goes to cargo, with everything after it.
worker_build() { "$WORKER_BUILD" --panic-unwind "$@"; }

# The names of functions, a tenth of the whole, which worker-build keeps. No pass is run, and no
# feature is named that the module does not use already.
strip_names() {
	"$WASM_OPT_BIN" --enable-mutable-globals --enable-sign-ext --enable-nontrapping-float-to-int \
		--enable-bulk-memory --enable-multivalue --enable-reference-types --enable-exception-handling \
		--strip-debug "$1" -o "$1.stripped" && mv "$1.stripped" "$1"
}

# `wrangler dev` gets a build that is quick to repeat, everything else the one that is deployed.
build() {
	[ -z "${TERTULIA_SKIP_BUILD:-}" ] || return 0
	need_stable && need_nightly && need_node && need_tools
	[ -f .dev.vars ] || node scripts/token.mjs --new-vars
	if [ "${WRANGLER_COMMAND:-}" = dev ]; then
		worker_build --profile serve --no-opt
		return
	fi
	worker_build --release
	strip_names build/index_bg.wasm
	size=$(gzip -9c build/index_bg.wasm | wc -c)
	say "build/index_bg.wasm: $((size)) bytes gzipped"
	[ "$size" -le $GZIP_MAX ] || die "the wasm is over $GZIP_MAX bytes gzipped: find what grew (cargo install twiggy)"
}

lint() {
	need_stable
	cargo fmt --check
	cargo clippy -q --all-targets -- -D warnings
	cargo clippy -q --lib --target wasm32-unknown-unknown -- -D warnings
}

host() {
	need_stable
	cargo test
}

# The Worker as deployed, and one that panics when asked to, driven from outside by the tests.
runtime() {
	build
	need_chromium
	worker_build --release --no-opt --out-dir build-panic --features panic-route
	# Tests start `wrangler dev` themselves, on what was built here.
	TERTULIA_SKIP_BUILD=1 node scripts/limit.mjs $CI_LIMIT \
		node --test --test-concurrency=1 --test-reporter=spec 'tests/e2e/**/*.test.mjs'
}

bench() {
	need_stable
	cargo bench
}

dev() {
	need_stable && need_nightly && need_node && need_tools
	[ -f .dev.vars ] || node scripts/token.mjs --new-vars
	exec node scripts/dev.mjs "$@"
}

token() {
	need_node
	[ -f .dev.vars ] || node scripts/token.mjs --new-vars
	exec node scripts/token.mjs "$@"
}

deploy() {
	build
	TERTULIA_SKIP_BUILD=1 exec node scripts/deploy.mjs "$@"
}

[ $# -gt 0 ] || die "say what: build, lint, host, runtime, bench, dev, token, deploy"
case $1 in
dev | token | deploy) "$@" ;; # the rest are its own arguments
*) for command; do
	case $command in build | lint | host | runtime | bench) $command ;; *) die "no such command: $command" ;; esac
done ;;
esac
