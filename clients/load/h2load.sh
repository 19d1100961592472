#!/usr/bin/env bash
# Closed loop with h2load (nghttp2): each client has a connection of its own and one request under way.
#   bash clients/load/h2load.sh ADDRESS FOLDER [h2load's own arguments, such as -n 20000 -c 16 or --rps=500]
# FOLDER is what request.py wrote. The exit code is 1 when an answer is missing or is not as long as it must be: h2load
# takes every HTTP 200 for a success, also one whose grpc-status says otherwise, and such an answer has no message.
# It gives no percentiles; they are made from its log, which has one line for each request.
set -euo pipefail

address=$1 folder=$2
shift 2
[ $# -gt 0 ] || set -- -n 10000 -c 16
log=$(mktemp)
trap 'rm -f "$log"' EXIT

[ -z "${NEURALMESH_TLS_CERT:-}" ] || { echo "h2load.sh: h2load has no client certificates; use ghz.sh" >&2; exit 2; }
authorization=()
[ -z "${NEURALMESH_TOKEN:-}" ] || authorization=(-H "authorization: Bearer $NEURALMESH_TOKEN")

said=$(h2load -m 1 -t 1 "$@" --data="$folder/request.frame" --log-file="$log" \
    -H 'content-type: application/grpc' -H 'te: trailers' "${authorization[@]}" \
    "http://$address/inference.GRPCInferenceService/ModelInfer")
printf '%s\n' "$said" | grep -E '^(finished|requests|status|traffic)'

sort -n -k 3 "$log" | awk '
    { latency[NR] = $3 }
    END { printf "latency: p50 %d us, p90 %d us, p99 %d us, max %d us\n",
          latency[int((NR + 1) * .5)], latency[int((NR + 1) * .9)], latency[int(NR * .99)], latency[NR] }'

answers=$(awk '$2 == 200' "$log" | wc -l)
bytes=$(printf '%s\n' "$said" | sed -n 's/.*(\([0-9]*\)) data$/\1/p')
wanted=$((answers * $(cat "$folder/answer.bytes")))
total=$(printf '%s\n' "$said" | sed -n 's/^requests: \([0-9]*\) total.*/\1/p')
if [ "$answers" -ne "$total" ] || [ "$bytes" -ne "$wanted" ]; then
    echo "h2load.sh: $answers answers to $total requests, $bytes bytes where $wanted were expected: some failed" >&2
    exit 1
fi
echo "every answer has its $(cat "$folder/answer.bytes") bytes"
