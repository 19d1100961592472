#!/usr/bin/env bash
# Resolves the lock files again: exact versions with hashes, for Python 3.11, under requirements/pins.txt.
#   bash tools/lock.sh            upgrades what the bounds in pyproject.toml permit
# The lock files name no index, so that any mirror serves them.
set -euo pipefail

uv=${UV:-}
if [ -z "$uv" ]; then
    if [ ! -x .tools/lock/bin/uv ]; then
        "${PYTHON:-python3.11}" -m venv .tools/lock
        .tools/lock/bin/python -m pip install --quiet 'uv>=0.8'
    fi
    uv=.tools/lock/bin/uv
fi

resolve() {
    local output=$1
    shift
    "$uv" pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
        --constraint requirements/pins.txt --output-file "$output" "$@"
}

resolve requirements/build.txt requirements/build.in
resolve requirements/runtime.txt pyproject.toml --extra labor # the image runs every service
resolve requirements/dev.txt pyproject.toml --extra dev
resolve requirements/interop.txt pyproject.toml --extra interop
resolve requirements/kernel-peers.txt requirements/kernel-peers.in
