#!/bin/sh
# Installs what Heddle needs and is missing: npm dependencies, and Debian packages (with sudo when not root).
# Says what it does; says nothing, and takes a few milliseconds, when there is nothing to do.
#
#   sh boot/setup.sh         what building and running needs
#   sh boot/setup.sh --test  also what the tests need
#   sh boot/setup.sh --tls   the sources of AWS-LC and what compiles them; the first build of an image with TLS calls this,
#                            so it leaves npm's packages, which that build is using, alone
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

command -v node >/dev/null || fail "Node.js 20 or later is needed; see https://nodejs.org/en/download (Debian 12 packages 18)"
command -v npm >/dev/null || fail "npm is needed; it comes with Node.js: https://nodejs.org/en/download"

case "$(node --version)" in
  v[0-9].* | v1[0-9].*) fail "Node.js 20 or later is needed, this is $(node --version); see https://nodejs.org/en/download" ;;
esac

# npm writes node_modules/.package-lock.json at the end of an installation: older than the lock file, or absent, means stale.
installed=node_modules/.package-lock.json
if [ "${1-}" != --tls ] && { [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; }; then
  say "npm ci: installing the compilers' npm packages"
  npm ci --no-audit --no-fund --loglevel=error >&2
  touch "$installed"
fi

# Whether the cargo in the path can download the crates: 1.71 and later.
cargo_is_new() {
  command -v cargo >/dev/null || return 1
  minor=$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
  [ -n "$minor" ] && [ "$minor" -ge 71 ]
}
tls_sources=.cache/tls/vendor
tls_stamp=$tls_sources/.lock
if [ "${1-}" = --tls ]; then
  if [ -e "$tls_stamp" ] && cmp -s boot/tls/Cargo.lock "$tls_stamp"; then tls=; else tls=missing; fi
fi

# A Debian package for each command that stands for it.
needed="clang:clang ld.lld:lld llvm-objcopy:llvm qemu-system-x86_64:qemu-system-x86 ip:iproute2"
if [ "${1-}" = --test ]; then
  needed="$needed qemu-img:qemu-utils bochs:bochs valgrind:valgrind gdb:gdb chromium:chromium tcpdump:tcpdump
    dnsmasq:dnsmasq-base nmap:nmap traceroute:traceroute curl:curl openssl:openssl sslscan:sslscan ping:iputils-ping setpriv:util-linux
    wget:wget python3:python3 wrk:wrk nginx:nginx ab:apache2-utils siege:siege slowhttptest:slowhttptest"
fi
if [ "${1-}" = --tls ]; then needed="$needed llvm-ar:llvm g++:g++"; fi
missing=
for pair in $needed; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
if [ "${1-}" = --test ]; then
  # Parts of bochs that are packages of their own.
  for file in /usr/share/bochs/BIOS-bochs-latest:bochsbios /usr/share/vgabios/vgabios.bin:vgabios \
    /usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so:bochs-term; do
    [ -e "${file%%:*}" ] || missing="$missing ${file#*:}"
  done
fi
# Debian 12's own cargo is too old; what its Firefox is built with is not.
if [ "${tls-}" = missing ] && ! cargo_is_new; then missing="$missing cargo-web"; fi

# Last of all: cargo only downloads the crates and checks them against boot/tls/Cargo.lock. It builds nothing.
tls_download() {
  [ "${tls-}" = missing ] || return 0
  cargo_is_new || fail "cargo 1.71 or later is needed to download the sources of AWS-LC; see https://rustup.rs"
  say "cargo vendor: downloading the sources of AWS-LC"
  rm -rf "$tls_sources"
  mkdir -p .cache/tls
  cargo vendor --quiet --locked --versioned-dirs --manifest-path boot/tls/Cargo.toml "$tls_sources" >/dev/null ||
    fail "cargo could not download the sources of AWS-LC; is there a network?"
  cp boot/tls/Cargo.lock "$tls_stamp"
}
if [ -z "$missing" ]; then
  tls_download
  exit 0
fi

command -v apt-get >/dev/null || fail "missing:$missing (names of Debian packages); install them and start again"
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "missing packages; as root: apt-get install --no-install-recommends$missing"
  sudo=sudo
fi
say "apt-get install$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # shellcheck disable=SC2086 # a list of words
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1
}
if ! install; then
  say "apt-get update, as the package lists are old or absent"
  $sudo apt-get update -qq >&2 || fail "apt-get update failed; is there a network?"
  if ! install; then
    cat "$log" >&2
    fail "apt-get could not install$missing"
  fi
fi
tls_download
