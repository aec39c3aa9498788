#!/bin/sh
# Installs what Heddle needs and is missing: npm dependencies, and Debian packages (with sudo when not root).
# Says what it does; says nothing, and takes a few milliseconds, when there is nothing to do.
#
#   sh boot/setup.sh         what building and running needs
#   sh boot/setup.sh --test  also what the tests need
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
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  say "npm ci: installing the compilers' npm packages"
  npm ci --no-audit --no-fund --loglevel=error >&2
  touch "$installed"
fi

# A Debian package for each command that stands for it.
needed="clang:clang ld.lld:lld llvm-objcopy:llvm qemu-system-x86_64:qemu-system-x86 ip:iproute2"
if [ "${1-}" = --test ]; then
  needed="$needed qemu-img:qemu-utils bochs:bochs valgrind:valgrind gdb:gdb chromium:chromium tcpdump:tcpdump
    dnsmasq:dnsmasq-base nmap:nmap traceroute:traceroute curl:curl ping:iputils-ping setpriv:util-linux"
fi
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
[ -n "$missing" ] || exit 0

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
