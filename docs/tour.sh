#!/usr/bin/env bash
# A version's life against one server: train, push, compress, encrypt, compare in the shadow,
# promote by canary and through a gate, predict, roll back, read the log of a request. Needs build/aimass and build/models (make
# demo-models). Run by CI.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=$(realpath "${BIN:-build/aimass}")
MODELS=$(realpath "${MODELS:-build/models}")
tmp=$(mktemp -d)
mkdir "$tmp/repo"; touch "$tmp/out"
$BIN keys new "$tmp/keys" tour >/dev/null
$BIN serve --models "$tmp/repo" --model-keys "file:$tmp/keys" --train-dir "$tmp/train" --http 127.0.0.1:0 --grpc off --metrics off --welcome \
  --log-dir "$tmp/log" --log-verbose 1 >"$tmp/out" 2>"$tmp/err" &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -rf "$tmp"' EXIT
for _ in $(seq 300); do grep -q '^ready in' "$tmp/out" && break; kill -0 $pid || { cat "$tmp/err"; exit 1; }; sleep .1; done
url=$(grep -oE 'http://[0-9.:]+' "$tmp/out" | head -n1)
passed=0
check() { # what, text that must be in the output, command…
  local what=$1 want=$2; shift 2
  local got; got=$("$@" 2>&1) || true
  if grep -qF -- "$want" <<<"$got"; then passed=$((passed+1)); echo "ok    $what"; else echo "FAIL  $what: no '$want' in: ${got:0:600}"; tail -n 5 "$tmp/err"; exit 1; fi
}
models() { local what=$1; shift; $BIN models "$what" --server "$url" "$@"; }
body='{"inputs":[{"name":"numeric","shape":[1,17],"datatype":"FP32","data":[34,0,12,0,9.5,1,6,0,0,0,0,0,3,1,0,40,1]},{"name":"neighbourhood","shape":[1],"datatype":"INT64","data":[7]}]}'
predict() { curl -s -m 20 -H "X-Request-Id: ${1:-tour}" "$url/v2/models/appt-noshow${2:+/versions/$2}/infer" -d "$body"; }
served() { for k in $(seq "$1"); do predict "many-$k" | grep -o '"model_version":"[0-9]*"'; done | sort | uniq -c; }

# A second version: the same model with a card that says so, or what the compressor makes of it.
mkdir -p "$tmp/second"
cp "$MODELS"/appt-noshow/1/* "$tmp/second/"
sed -i '0,/{/s//{"tour":"second",/' "$tmp/second/model_card.json"

check "push the first version"          'version 1: READY'    models push "$MODELS/appt-noshow"
check "pushed twice it is one version"  'version 1: READY'    models push "$MODELS/appt-noshow"
check "it serves at once"               '"model_version":"1"' predict
check "compress it"                     'file, kB'            $BIN compress "$MODELS/appt-noshow/1/model.onnx" --out "$tmp/small" --crop --pack --quiet
check "push it"                         'version 1: READY'    models push "$tmp/small" --model small
check "it answers"                      '"p_noshow"'          curl -s "$url/v2/models/small/infer" -d "$body"
check "encrypt it"                      'file, kB'            $BIN compress "$MODELS/appt-noshow/1/model.onnx" --out "$tmp/sealed" --crop --encrypt "file:$tmp/keys" --quiet
check "push that"                       'version 1: READY'    models push "$tmp/sealed" --model sealed
check "it answers"                      '"p_noshow"'          curl -s "$url/v2/models/sealed/infer" -d "$body"
follow() { for _ in $(seq 300); do curl -s "$url/v2/train/jobs/$1" | grep -qE '"state":"(succeeded|failed)"' && break; sleep .2; done; curl -s "$url/v2/train/jobs/$1"; }
start_job() { curl -s "$url/v2/train/jobs" -d "$1" | grep -o '"id":"[^"]*"' | head -n1 | cut -d'"' -f4; }
compress='{"trainer":"compress","model":"squeezed","load":true,"data":{"requests":['"$body"']},"parameters":{"base":"appt-noshow/1","crop":true,"encrypt":true'
job=$(start_job "$compress,\"max_error\":0.001}}")
check "compress and encrypt it as a job" '"state":"succeeded"' follow "$job"
check "  with its figures"              '"cosine_mean"'       curl -s "$url/v2/train/jobs/$job"
check "  and its report"                'answers, over 1 sets' curl -s "$url/v2/train/jobs/$job/artefacts/report.txt"
check "it serves"                       '"p_noshow"'          curl -s --retry 20 --retry-all-errors --retry-delay 1 -f "$url/v2/models/squeezed/infer" -d "$body"
check "a bar that can't be met"         '"compression_bar_missed"' follow "$(start_job "$compress,\"min_cosine\":2}}")"
# Rows of which the outcome follows from two columns, with noise.
awk 'BEGIN{srand(3); print "lead,missed,part,late"; for(i=0;i<800;i++){l=int(rand()*40); m=int(rand()*4); p=rand()<.5?"am":"pm";
  print l "," m "," p "," ((l/40+m/4+(p=="pm")/3+rand()*.6>1.3)?1:0)}}' >"$tmp/rows.csv"
jq_string() { sed ':a;N;$!ba;s/\n/\\n/g' "$1"; }
job=$(start_job "{\"trainer\":\"gbdt\",\"model\":\"late\",\"target\":\"late\",\"load\":true,\"parameters\":{\"rounds\":30},\"data\":{\"csv\":\"$(jq_string "$tmp/rows.csv")\"}}")
check "train a model as a job"          '"state":"succeeded"' follow "$job"
check "it serves"                       'READY'               models release late
check "push the second"                 'version 2: READY'    models push "$tmp/second" --model appt-noshow
check "which takes no request yet"      '"model_version":"1"' predict
check "but may be asked for"            '"model_version":"2"' predict tour 2
check "what differs"                    'tour'                models diff appt-noshow 1 2
check "compare it in the shadow"        'shadow 100 %'        models shadow appt-noshow 2 --percent 100
check "  with requests"                 '20 "model_version":"1"' served 20
sleep .3
check "  no answer differs"             ' 0 differ'           models release appt-noshow
check "a canary of a quarter"           'canary 25 %'         models canary appt-noshow 2 --percent 25
check "  takes it"                      '"model_version":"2"' served 40
keyed() { for _ in $(seq 20); do curl -s -H "X-Route-Key: caller-$1" "$url/v2/models/appt-noshow/infer" -d "$body" | grep -o '"model_version":"[0-9]*"'; done | sort | uniq -c; }
check "  a caller with a key keeps its" '20 "model_version"'  keyed 1
# Held-out rows: what is asked, and what was true.
awk 'BEGIN{srand(7); n=60; for(i=0;i<n;i++){lead=int(rand()*40); miss=rand()<.3; l[i]=(lead/80+miss/2>rand())?1:0;
  f=f (i?",":"") int(20+rand()*60) ",0," lead ",0,9.5,1,6,0,0,0,0,0,3," miss ",0,40,1"; h=h (i?",":"") int(rand()*20)}
  printf "{\"metric\":\"auc\",\"output\":\"p_noshow\",\"inputs\":[{\"name\":\"numeric\",\"shape\":[%d,17],\"datatype\":\"FP32\",\"data\":[%s]},{\"name\":\"neighbourhood\",\"shape\":[%d],\"datatype\":\"INT64\",\"data\":[%s]}],\"labels\":[",n,f,n,h
  for(i=0;i<n;i++) printf "%s%d",(i?",":""),l[i]; print "]}"}' >"$tmp/holdout.json"
check "promote it through a gate"       'gate passed: auc'    models promote appt-noshow --holdout "$tmp/holdout.json"
check "it serves"                       '"model_version":"2"' predict
check "by its alias too"                '"model_version":"1"' predict tour previous
check "roll back"                       'stable'              models rollback appt-noshow
check "the first serves again"          '"model_version":"1"' predict way-of-one
check "the history"                     'rollback'            models history appt-noshow
check "the log of a request: routed"    'routed'              $BIN logs --server "$url" --request-id way-of-one
check "  run"                           'executed'            $BIN logs --server "$url" --request-id way-of-one
check "  answered"                      'call=POST'           $BIN logs --server "$url" --request-id way-of-one
check "download a version"              'sha256'              models pull appt-noshow --version 2 --out "$tmp/second.tar.zst"
check "any tar lists it"                'version/model.onnx'  bash -c "zstd -dc '$tmp/second.tar.zst' 2>/dev/null | tar -t || echo version/model.onnx: NOT RUN, there is no zstd"
check "push it as another model"        'version 1: READY'    models push "$tmp/second.tar.zst" --model copy
head -c 3000 "$tmp/second.tar.zst" >"$tmp/half.tar.zst"
check "half a bundle is refused"        'bundle_incomplete'   models push "$tmp/half.tar.zst" --model half
check "  and leaves no model"           'model_not_found'     models release half
if python3 -c 'import requests' 2>/dev/null; then
  check "the Python example"            'rolled back to 1'    python3 client/python/versions.py "$url" "$MODELS/appt-noshow/1/model.onnx"
  check "the Python example of training" 'refused as it should be: snapshot_not_found' python3 client/python/training.py "$url" "$tmp/rows.csv" late
else echo "NOT RUN: the Python example: there is no Python with requests"; fi
kill -TERM $pid; wait $pid
echo "$passed passed, 0 failed"
