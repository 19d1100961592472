#!/usr/bin/env bash
# Makes the virtual environment VENV from the lock file LOCK and compiles the kernel into it.
#   PYTHON=python3.11 UV= bash tools/setup.sh VENV LOCK
# Needs Python 3.11 with its headers, venv and a C compiler; on Debian, as root, it installs those that are missing.
set -euo pipefail

venv=$1
lock=$2
python=${PYTHON:-python3.11}
uv=${UV:-}

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

has_compiler() { command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1; }
has_python() { command -v "$python" >/dev/null 2>&1; }
has_venv() { [ -n "$uv" ] || { "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; }; }
has_headers() {
    "$python" -c 'import pathlib, sysconfig; raise SystemExit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())' \
        >/dev/null 2>&1
}

missing=()
has_python || missing+=(python3.11)
has_venv || missing+=(python3.11-venv)
has_headers || missing+=(python3.11-dev)
has_compiler || missing+=(gcc)

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "missing: ${missing[*]}. Type this, then repeat:  sudo apt-get install -y ${missing[*]}"
    fi
    printf 'setup: installing %s\n' "${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    if ! { has_python && has_venv && has_headers && has_compiler; }; then
        fail "$python still lacks venv, headers or a compiler after apt-get install ${missing[*]}; name another with PYTHON=..."
    fi
fi

"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' || fail "$python is older than Python 3.11"

# A virtual environment whose interpreter is gone (a moved folder, an upgraded system) is made again.
if ! "$venv/bin/python" -c 'import sys' >/dev/null 2>&1; then
    rm -rf "$venv"
    if [ -n "$uv" ]; then
        "$uv" venv --quiet --python "$(command -v "$python")" "$venv"
    else
        "$python" -m venv "$venv"
    fi
fi

printf 'setup: installing %s into %s\n' "$lock" "$venv"
if [ -n "$uv" ]; then
    "$uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r "$lock"
    "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e .
else
    "$venv/bin/python" -m pip install --quiet --require-hashes -r "$lock"
    "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e .
fi
printf 'setup: ready\n'
