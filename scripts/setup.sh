# Sourced by run.sh: what the project needs, fetched once if missing, and found at once if there.
# Tools that are no npm packages go to a cache outside the checkout, by version.

CACHE=${TERTULIA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tertulia}
NPM_BIN=$PWD/node_modules/.bin
export PATH="$NPM_BIN:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

# No telemetry, no questions, no news of updates.
export WRANGLER_SEND_METRICS=false WRANGLER_SEND_ERROR_REPORTS=false WRANGLER_HIDE_BANNER=true \
	WRANGLER_NO_SKILLS_UPDATE_PROMPTS=true NO_UPDATE_NOTIFIER=1 \
	npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

say() { echo "tertulia: $*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The version of a crate in Cargo.lock.
locked() { sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"/\1/p;}" Cargo.lock | head -1; }

# A toolchain with the wasm32 target, as new as Cargo.toml asks, and with the file $2 in its sysroot.
toolchain_ok() {
	want=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' Cargo.toml)
	minor=$(rustc "+$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
	sysroot=$(rustc "+$1" --print sysroot 2>/dev/null) || return 1
	[ "${minor:-0}" -ge "${want:-0}" ] && [ -e "$sysroot/$2" ] &&
		[ -d "$sysroot/lib/rustlib/wasm32-unknown-unknown/lib" ]
}

install_toolchain() { # channel, components
	say "installing Rust $1"
	rustup toolchain install "$1" --profile minimal --no-self-update -c "$2" -t wasm32-unknown-unknown >&2 ||
		die "no Rust $1: see above; by hand: rustup toolchain install $1 -c $2 -t wasm32-unknown-unknown"
}

need_stable() {
	has cc || die "no C compiler: install one (Debian, Ubuntu: apt-get install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install)"
	if ! has rustup; then
		has curl || die "neither rustup nor curl: install one of them (https://rustup.rs)"
		say "installing rustup, without touching your shell's profile"
		# A distribution's own cargo may stay: ours comes first in this script's PATH.
		curl --proto '=https' --tlsv1.2 -fsSL https://sh.rustup.rs |
			RUSTUP_INIT_SKIP_PATH_CHECK=yes sh -s -- -y -q --no-modify-path --profile minimal --default-toolchain none >&2
		has rustup || die "rustup could not be installed: see https://rustup.rs"
	fi
	toolchain_ok stable bin/cargo-clippy || install_toolchain stable clippy,rustfmt
}

# Only nightly can rebuild std with panic=unwind, without which one panic resets every room.
need_nightly() {
	toolchain_ok nightly lib/rustlib/src/rust/library/Cargo.toml || install_toolchain nightly rust-src
}

# Puts the Node of package.json into the cache: only where there is none to run npm with.
install_node() {
	version=$1 dir=$CACHE/node-$1
	if [ ! -x "$dir/bin/npm" ]; then
		has curl || die "neither Node nor curl: install Node $version or later (https://nodejs.org)"
		case $(uname -m) in x86_64 | amd64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
		name=node-v$version-$(uname -s | tr '[:upper:]' '[:lower:]')-$arch
		tmp=$CACHE/node.$$
		say "downloading Node $version"
		mkdir -p "$tmp"
		(
			cd "$tmp" &&
				curl -fsSLO "https://nodejs.org/dist/v$version/$name.tar.gz" &&
				curl -fsSL "https://nodejs.org/dist/v$version/SHASUMS256.txt" | grep " $name.tar.gz\$" >sum &&
				if has sha256sum; then sha256sum -c sum; else shasum -a 256 -c sum; fi >/dev/null &&
				tar -xzf "$name.tar.gz" && rm -rf "$dir" && mv "$name" "$dir"
		) || { rm -rf "$tmp"; die "Node $version could not be downloaded: install Node 20 or later (https://nodejs.org)"; }
		rm -rf "$tmp"
	fi
	export PATH="$NPM_BIN:$dir/bin:$PATH"
}

# The machine's Node runs npm; everything else runs on the one that npm installs.
need_node() {
	version=$(sed -n 's/.*"node": "\([0-9.]*\)".*/\1/p' package.json)
	major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')
	{ has npm && [ "${major:-0}" -ge 18 ]; } || install_node "$version"
	# npm writes this file last; an older one than the lock is another commit's.
	if [ -z "$(find node_modules/.package-lock.json -newer package-lock.json 2>/dev/null)" ]; then
		say "npm ci"
		npm ci --no-audit --no-fund --loglevel=error >&2 || die "npm ci failed: see above"
		touch node_modules/.package-lock.json
	fi
	[ "$("$NPM_BIN/node" --version 2>/dev/null)" = "v$version" ] || npm rebuild >/dev/null 2>&1
	[ "$("$NPM_BIN/node" --version 2>/dev/null)" = "v$version" ] ||
		die "npm left out its install scripts, so there is no Node $version: run \`npm ci --ignore-scripts=false\`"
}

# The lock of a published tool may name a crate that is gone from the registry since.
install_bindgen() { # version, root
	for lock in --locked ''; do
		CARGO_PROFILE_RELEASE_OPT_LEVEL=1 cargo install $lock -q --no-default-features --bin wasm-bindgen \
			--root "$2" "wasm-bindgen-cli@$1" && return
	done
	return 1
}

# worker-build from its published source, less the one feature that needs OpenSSL's headers:
# it is for downloads of tools, which all are here.
install_worker_build() { # version, root
	tmp=$CACHE/worker-build.$$
	mkdir -p "$tmp/fetch" && : >"$tmp/fetch/lib.rs" &&
		printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\nworker-build = "=%s"\n' "$1" >"$tmp/fetch/Cargo.toml" &&
		cargo fetch -q --manifest-path "$tmp/fetch/Cargo.toml" 2>/dev/null
	for source in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"worker-build-$1"; do
		cp -R "$source" "$tmp/source" && break
	done
	sed '/^ *"native-tls",$/d' "$tmp/source/Cargo.toml" >"$tmp/Cargo.toml" &&
		mv "$tmp/Cargo.toml" "$tmp/source/Cargo.toml" &&
		CARGO_PROFILE_DEV_DEBUG=0 cargo install -q --debug --bin worker-build --root "$2" --path "$tmp/source"
	status=$?
	rm -rf "$tmp"
	return $status
}

# What turns the crate into a Worker.
need_tools() {
	bindgen=$(locked wasm-bindgen) worker=$(locked worker)
	bindgen_root=$CACHE/wasm-bindgen-cli-$bindgen worker_root=$CACHE/worker-build-$worker
	[ -x "$bindgen_root/bin/wasm-bindgen" ] || { say "building wasm-bindgen $bindgen, once" && install_bindgen "$bindgen" "$bindgen_root" >&2 & }
	[ -x "$worker_root/bin/worker-build" ] || { say "building worker-build $worker, once" && install_worker_build "$worker" "$worker_root" >&2 & }
	wait
	[ -x "$bindgen_root/bin/wasm-bindgen" ] && [ -x "$worker_root/bin/worker-build" ] ||
		die "wasm-bindgen $bindgen and worker-build $worker could not be built: see above"
	export WASM_BINDGEN_BIN="$bindgen_root/bin/wasm-bindgen" WASM_OPT_BIN="$NPM_BIN/wasm-opt" ESBUILD_BIN="$NPM_BIN/esbuild"
	WORKER_BUILD=$worker_root/bin/worker-build
}

# A browser for the tests: yours, the distribution's, or Playwright's.
need_chromium() {
	for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
		/Applications/Chromium.app/Contents/MacOS/Chromium; do
		[ -n "$name" ] && CHROMIUM=$(command -v "$name") && "$CHROMIUM" --version >/dev/null 2>&1 && export CHROMIUM && return
	done
	if [ "$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; then # Ubuntu's is a snap
		say "installing Chromium"
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium; } >&2 &&
			CHROMIUM=$(command -v chromium) && export CHROMIUM && return
	fi
	export PLAYWRIGHT_BROWSERS_PATH="$CACHE/browsers"
	"$NPM_BIN/playwright-core" install $([ "$(id -u)" != 0 ] || echo --with-deps) chromium >&2 ||
		die "no browser for the tests: install Chromium or Chrome, or say where it is: CHROMIUM=/path make test"
	CHROMIUM=$(node -p 'require("playwright-core").chromium.executablePath()')
	export CHROMIUM
}
