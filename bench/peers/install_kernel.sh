#!/usr/bin/env bash
# Installs what the kernel is compared with into DIR, apart from everything else:
#   PYTHON=python3.11 UV= bash bench/peers/install_kernel.sh .tools/peers/kernel
# faiss-cpu and NumKong come from PyPI, by requirements/kernel-peers.txt; M4RI is Debian's, unpacked into DIR and not
# installed, with a few functions of ours compiled against its headers. 150 MB.
set -euo pipefail

M4RI=20200125-1+b1

kernel=$1
python=${PYTHON:-python3.11}
uv=${UV:-}
here=$(cd "$(dirname "$0")" && pwd)
lock=$here/../../requirements/kernel-peers.txt
mkdir -p "$(dirname "$kernel")"

say() { printf 'peers: %s\n' "$*"; }

fail() {
    printf 'peers: %s\n' "$*" >&2
    exit 1
}

install_python_peers() {
    say "installing requirements/kernel-peers.txt into $kernel"
    rm -rf "$kernel"
    if [ -n "$uv" ]; then
        "$uv" venv --quiet --python "$(command -v "$python")" "$kernel"
        "$uv" pip install --quiet --python "$kernel/bin/python" --require-hashes -r "$lock"
    else
        "$python" -m venv "$kernel"
        "$kernel/bin/python" -m pip install --quiet --require-hashes -r "$lock"
    fi
}

# libpng is what libm4ri links for pictures of matrices; a machine may not have it.
unpack_m4ri() {
    local packages=("libm4ri-dev=$M4RI" "libm4ri-0.0.20200125=$M4RI" libpng16-16)
    command -v apt-get >/dev/null 2>&1 || fail "apt-get is missing: libm4ri comes from Debian"
    mkdir -p "$kernel/m4ri/packages"
    say "unpacking libm4ri $M4RI into $kernel/m4ri"
    cd "$kernel/m4ri/packages"
    if ! apt-get download -qq "${packages[@]}" 2>download.log; then
        [ "$(id -u)" -eq 0 ] || fail "$(tail -n 1 download.log); is the list of packages old?  sudo apt-get update"
        apt-get update -qq
        apt-get download -qq "${packages[@]}" 2>download.log || fail "$(tail -n 1 download.log)"
    fi
    for package in *.deb; do dpkg -x "$package" "$kernel/m4ri"; done
    cd - >/dev/null
}

build_m4ri_peer() {
    local libraries=("$kernel"/m4ri/usr/lib/*-linux-gnu)
    "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -DPACKAGE="\"libm4ri $M4RI of Debian\"" -shared -fPIC \
        -I"$kernel/m4ri/usr/include" "$here/kernel/m4ri_peer.c" -o "$kernel/m4ri_peer.so" \
        -L"${libraries[0]}" -Wl,--disable-new-dtags,-rpath,"${libraries[0]}" -lm4ri
}

install_python_peers
kernel=$(cd "$kernel" && pwd)
unpack_m4ri
build_m4ri_peer
say "ready: $("$kernel/bin/python" -c 'from importlib.metadata import version as v; print("faiss-cpu", v("faiss-cpu") + ", NumKong", v("numkong"))'), libm4ri $M4RI"
