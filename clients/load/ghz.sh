#!/usr/bin/env bash
# Load with ghz, which reads grpc-status and speaks TLS with client certificates.
#   bash clients/load/ghz.sh ADDRESS FOLDER [ghz's own arguments, such as -n 20000 -c 16 --connections 16 or --rps 500]
# FOLDER is what request.py wrote. The exit code is 1 when a request failed. With --rps and --async ghz is an open loop,
# but its latencies run from sending, not from the moment meant: `neuralmesh load` corrects for that.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
address=$1 folder=$2
shift 2
[ $# -gt 0 ] || set -- -n 10000 -c 16 --connections 16

security=(--insecure)
[ -z "${NEURALMESH_TLS_CERT:-}" ] ||
    security=(--cert "$NEURALMESH_TLS_CERT" --key "$NEURALMESH_TLS_KEY" --cacert "$NEURALMESH_TLS_CA")
[ -z "${NEURALMESH_TOKEN:-}" ] || security+=(--metadata "{\"authorization\": \"Bearer $NEURALMESH_TOKEN\"}")

said=$(ghz "${security[@]}" --proto "$here/../../protos/inference/open_inference.proto" \
    --call inference.GRPCInferenceService.ModelInfer --binary-file "$folder/request.bin" \
    "$@" "$address")
printf '%s\n' "$said"

# ghz ends with 0 whatever the statuses are.
failed=$(printf '%s\n' "$said" | sed -n '/^Status code distribution/,/^$/ s/^ *\[\([A-Za-z]*\)\].*/\1/p' | grep -v '^OK$' || true)
if [ -n "$failed" ]; then
    echo "ghz.sh: some requests failed: $(printf '%s ' $failed)" >&2
    exit 1
fi
printf '%s\n' "$said" | grep -q '^ *\[OK\]' || { echo "ghz.sh: no request was answered" >&2; exit 1; }
