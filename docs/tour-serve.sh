#!/usr/bin/env bash
# A tour against one server: start, predict, list, reload, bad requests, stop. Run by CI.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-build/aimass}
MODELS=${MODELS:-build/models}
log=$(mktemp)
$BIN serve --models "$MODELS" --http 127.0.0.1:0 --grpc 127.0.0.1:0 --metrics 127.0.0.1:0 --welcome >"$log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 300); do grep -q '^ready in' "$log" && break; kill -0 $pid || { cat "$log"; exit 1; }; sleep .1; done
url=$(grep -oE 'http://[0-9.:]+' "$log" | head -n1)
passed=0
check() { # what, text that must be in the answer, curl arguments…
  local what=$1 want=$2; shift 2
  local got; got=$(curl -s -m 20 "$@") || true
  if grep -qF -- "$want" <<<"$got"; then passed=$((passed+1)); echo "ok    $what"; else echo "FAIL  $what: no '$want' in: ${got:0:300}"; exit 1; fi
}
body='{"id":"tour-1","inputs":[{"name":"numeric","shape":[1,17],"datatype":"FP32","data":[34,0,12,0,9.5,1,6,0,0,0,0,0,3,1,0,40,1]},{"name":"neighbourhood","shape":[1],"datatype":"INT64","data":[7]}]}'
check "health"              '"ready":true'        "$url/v2/health/ready"
check "metadata"            '"p_noshow"'          "$url/v2/models/appt-noshow"
check "configuration"       '"max_batch_size"'    "$url/v2/models/appt-noshow/config"
check "a prediction"        '"p_noshow"'          "$url/v2/models/appt-noshow/infer" -d "$body"
check "the id comes back"   '"id":"tour-1"'       "$url/v2/models/appt-noshow/infer" -d "$body"
check "statistics"          '"inference_count":2' "$url/v2/models/appt-noshow/stats"
check "index"               'READY'               -X POST "$url/v2/repository/index"
check "an unknown model"    'model_not_found'     "$url/v2/models/none/infer" -d "$body"
check "a wrong shape"       'shape_mismatch'      "$url/v2/models/appt-noshow/infer" -d "${body/\[1,17\]/[1,16]}"
check "broken JSON"         'invalid_json'        "$url/v2/models/appt-noshow/infer" -d '{'
check "unload"              ''                    -X POST "$url/v2/repository/models/appt-noshow/unload" -d '{}'
check "gone"                'model_unavailable'   "$url/v2/models/appt-noshow/infer" -d "$body"
check "load"                ''                    -X POST "$url/v2/repository/models/appt-noshow/load" -d '{}'
check "back"                '"p_noshow"'          "$url/v2/models/appt-noshow/infer" -d "$body"
check "the error table"     'queue_full'          "$url/v2/errors"
check "the interface"       'openapi'             "$url/v2/openapi.yaml"
kill -TERM $pid; wait $pid
echo "$passed passed, 0 failed"
