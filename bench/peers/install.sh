#!/usr/bin/env bash
# Installs the servers that the benchmark compares with, each into a virtual environment of its own below DIR:
#   PYTHON=python3.11 UV= bash bench/peers/install.sh .tools/peers
# MLServer comes from PyPI; tritonserver, its Python backend and the CUDA libraries that it links are in NVIDIA's wheel of
# PyTriton. Together they take 700 MB. What is there already is kept.
set -euo pipefail

MLSERVER=1.7.1
PYTRITON=0.7.0

peers=$1
python=${PYTHON:-python3.11}
uv=${UV:-}
mkdir -p "$peers"
peers=$(cd "$peers" && pwd)

say() { printf 'peers: %s\n' "$*"; }

# environment NAME REQUIREMENT...
environment() {
    local venv="$peers/$1"
    local stamp="$venv/.stamp-${*//[^a-zA-Z0-9.=-]/_}"
    stamp=${stamp// /+}
    [ -e "$stamp" ] && return 0
    say "installing ${*:2} into $venv"
    rm -rf "$venv"
    if [ -n "$uv" ]; then
        "$uv" venv --quiet --python "$(command -v "$python")" "$venv"
        "$uv" pip install --quiet --python "$venv/bin/python" "${@:2}"
    else
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet "${@:2}"
    fi
    touch "$stamp"
}

# The wheel holds a stub of the Python backend for each Python; the server looks for the one of this Python beside the
# backend, in a folder that the wheel does not have.
arrange_triton() {
    local venv="$peers/triton" wheel version
    wheel=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pytriton/tritonserver
    version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    mkdir -p "$venv/backends"
    cp -R "$wheel/backends/python" "$venv/backends/"
    cp "$wheel/python_backend_stubs/$version/triton_python_backend_stub" "$venv/backends/python/"
}

environment mlserver "mlserver==$MLSERVER"
environment triton "nvidia-pytriton==$PYTRITON"
[ -x "$peers/triton/backends/python/triton_python_backend_stub" ] || arrange_triton
say "ready: MLServer $MLSERVER, tritonserver of nvidia-pytriton $PYTRITON"
