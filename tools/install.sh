#!/usr/bin/env bash
# Installs into TOOLS what `make test-interop` and `make bench` need and PyPI does not hold, at pinned versions:
#   grpcurl, ghz, grpc-health-probe, h2spec (Go), buf and the Node client's packages (npm), h2load and docker-compose (Debian), and a second virtual environment with kserve.
#   PYTHON=python3.11 UV= bash tools/install.sh .tools
# What is there already is kept. Debian packages are installed where they are missing, which needs root.
set -euo pipefail

GRPCURL=v1.9.3
GHZ=v0.120.0
HEALTH_PROBE=v0.4.61
H2SPEC=v2.2.1+incompatible
BUF=1.75.0
GO_AT_LEAST=1.22

tools=$1
python=${PYTHON:-python3.11}
uv=${UV:-}
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)

fail() {
    printf 'tools: %s\n' "$*" >&2
    exit 1
}

say() { printf 'tools: %s\n' "$*"; }

debian_missing=()

# needs COMMAND PACKAGE: remembers a Debian package whose command is absent.
needs() { command -v "$1" >/dev/null 2>&1 || debian_missing+=("$2"); }

go_works() {
    command -v go >/dev/null 2>&1 || return 1
    local have
    have=$(go env GOVERSION 2>/dev/null) || return 1
    [ "$(printf '%s\n%s\n' "$GO_AT_LEAST" "${have#go}" | sort -V | head -n 1)" = "$GO_AT_LEAST" ]
}

install_debian() {
    needs h2load nghttp2-client
    needs docker-compose docker-compose
    needs node nodejs
    needs npm npm
    [ ${#debian_missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "missing: ${debian_missing[*]}. Type this, then repeat:  sudo apt-get install -y ${debian_missing[*]}"
    fi
    say "installing ${debian_missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${debian_missing[@]}" >/dev/null
}

# Debian 12 has Go 1.19, which is too old to build grpcurl; its backports, on the same mirror, have a newer one.
install_go() {
    go_works && return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "Go $GO_AT_LEAST or newer is missing. With backports enabled:  sudo apt-get install -y -t bookworm-backports golang-go"
    fi
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
    [ -n "$mirror" ] || fail "Go $GO_AT_LEAST or newer is missing, and this is not Debian 12: install Go"
    say "installing Go from Debian backports"
    export DEBIAN_FRONTEND=noninteractive
    printf 'deb %s bookworm-backports main\n' "$mirror" >/etc/apt/sources.list.d/neuralmesh-backports.list
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends -t bookworm-backports golang-go git ca-certificates >/dev/null
    go_works || fail "Go $GO_AT_LEAST or newer is missing, and Debian backports did not bring it"
}

# go_tool NAME MODULE VERSION
go_tool() {
    local stamp="$tools/.$1-$3"
    [ -x "$tools/bin/$1" ] && [ -e "$stamp" ] && return 0
    install_go
    say "building $1 $3"
    GOBIN="$tools/bin" GOFLAGS= go install "$2@$3" 2>"$tools/$1.log" || {
        tail -n 5 "$tools/$1.log" >&2
        fail "go install $2@$3 failed"
    }
    touch "$stamp"
}

install_buf() {
    local stamp="$tools/.buf-$BUF"
    [ -e "$stamp" ] && return 0
    say "installing buf $BUF"
    npm install --prefix "$tools/npm" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "@bufbuild/buf@$BUF" >/dev/null
    ln -sf "$tools/npm/node_modules/.bin/buf" "$tools/bin/buf"
    touch "$stamp"
}

# The packages of clients/node, as its lock file says.
install_node_client() {
    local stamp="$tools/.node-client"
    [ -e "$stamp" ] && [ ! clients/node/package-lock.json -nt "$stamp" ] && [ -d clients/node/node_modules ] && return 0
    say "installing the packages of clients/node"
    (cd clients/node && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null)
    touch "$stamp"
}

# tritonclient and kserve register the same protobuf files and cannot share a process, so kserve gets its own environment.
install_interop_environment() {
    local venv="$tools/interop"
    if ! "$venv/bin/python" -c '' >/dev/null 2>&1; then
        rm -rf "$venv"
        if [ -n "$uv" ]; then "$uv" venv --quiet --python "$(command -v "$python")" "$venv"; else "$python" -m venv "$venv"; fi
    fi
    say "installing requirements/interop.txt into $venv"
    if [ -n "$uv" ]; then
        "$uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r requirements/interop.txt
        "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e .
    else
        "$venv/bin/python" -m pip install --quiet --require-hashes -r requirements/interop.txt
        "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e .
    fi
}

install_debian
go_tool grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl "$GRPCURL"
go_tool ghz github.com/bojand/ghz/cmd/ghz "$GHZ"
go_tool grpc-health-probe github.com/grpc-ecosystem/grpc-health-probe "$HEALTH_PROBE"
go_tool h2spec github.com/summerwind/h2spec/cmd/h2spec "$H2SPEC"
install_buf
install_node_client
install_interop_environment

export PATH="$tools/bin:$PATH"
for command in grpcurl ghz grpc-health-probe h2spec buf h2load docker-compose node; do
    command -v "$command" >/dev/null 2>&1 || fail "$command is still absent"
done
buf --version >/dev/null 2>&1 || fail "buf does not run"
say "ready: grpcurl $GRPCURL, ghz $GHZ, grpc-health-probe $HEALTH_PROBE, h2spec $H2SPEC, buf $BUF, $(h2load --version), $(docker-compose version --short 2>/dev/null | sed 's/^/docker-compose /')"
