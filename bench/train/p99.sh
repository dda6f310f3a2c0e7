#!/usr/bin/env bash
# What a training job does to the p99 of serving, and what it costs the job. Pairs of short rounds of the same open load, one with a
# job and one without, right after each other and in changing order, so that what else happens on the machine meets both; the figure
# is the median of the pairs' ratios. The server is started with what SERVE holds, such as "--train-share 1".
# usage: p99.sh AIMASS [SECONDS [PAIRS [RATE…]]]
set -eu
aimass=$(realpath "$1") seconds=${2:-3} pairs=${3:-11}
shift $(($# < 3 ? $# : 3))
rates=("$@"); [ $# -gt 0 ] || rates=(500 1000)
dir=$(mktemp -d)
awk 'BEGIN{srand(1); for(f=0;f<28;f++)printf "x%d,",f; print "y"; for(i=0;i<60000;i++){z=0; for(f=0;f<28;f++){x=rand()+rand()+rand()+rand()-2; printf "%.4f,",x; if(f<4)z+=x*x} print (z+rand()>1.9)?1:0}}' >"$dir/data.csv"
mkdir "$dir/models"
"$aimass" train gbdt --data "$dir/data.csv" --target y --out "$dir/models" --model table --set rounds=100 >/dev/null 2>&1
"$aimass" serve --models "$dir/models" --http 127.0.0.1:0 --grpc off --metrics off --train-data "$dir" --welcome ${SERVE:-} >"$dir/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$dir"' EXIT
until url=$(grep -oE 'http://[0-9.:]+' "$dir/log" | head -n1) && [ -n "$url" ] && curl -sf "$url/v2/health/ready" >/dev/null; do sleep 0.1; done
field() { grep -o "\"$1\":[0-9]*" | head -n1 | cut -d: -f2; }
p99() { "$aimass" bench load "$url" --model table --rate "$1" --warmup 500ms --duration "${seconds}s" --json --quiet | field p99_ns; }
trees() { curl -s "$url/v2/train/jobs/$id" | field step; }
begin() {
  id=$(curl -s "$url/v2/train/jobs" -d '{"trainer":"gbdt","model":"other","target":"y","data":{"path":"data.csv"},"parameters":{"rounds":1000000,"early_stop":0}}' | grep -o '"id":"[^"]*"' | head -n1 | cut -d'"' -f4)
  until [ "$(trees)0" -gt 50 ]; do sleep 0.05; done
}
end() {
  curl -s "$url/v2/train/jobs/$id/cancel" -d '' >/dev/null
  until curl -s "$url/v2/train/jobs/$id" | grep -q '"cancelled"'; do sleep 0.05; done
}
# with sets b to the p99 and adds to grown the trees per second; without sets a.
with() { begin; local n t; n=$(trees) t=$(date +%s%N); b=$(p99 "$1"); grown+=("$(awk "BEGIN{printf \"%.1f\", ($(trees)-$n)/(($(date +%s%N)-$t)/1e9)}")"); end; }
without() { a=$(p99 "$1"); }
median() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }
begin; n=$(trees); sleep "$seconds"; alone=$((($(trees) - n) / seconds))
child=$(pgrep -P $server | head -n1)
echo "the job: $(chrt -p "$child" | head -n1 | sed 's/.*: //'), $alone trees/s while no requests come; load average $(cut -d' ' -f1 /proc/loadavg)"
end
for rate in "${rates[@]}"; do
  ratios=() grown=()
  for k in $(seq "$pairs"); do
    if [ $((k % 2)) = 1 ]; then without "$rate"; with "$rate"; else with "$rate"; without "$rate"; fi
    ratios+=("$(awk "BEGIN{printf \"%.3f\", $b / $a}")")
    echo "  $rate/s: p99 without $(awk "BEGIN{printf \"%.2f\", $a/1e6}") ms, with $(awk "BEGIN{printf \"%.2f\", $b/1e6}") ms, ratio ${ratios[-1]}, ${grown[-1]} trees/s"
  done
  sorted=($(printf '%s\n' "${ratios[@]}" | sort -g))
  echo "$rate/s: median of $pairs ratios ${sorted[$((pairs / 2))]} (goal 1.3; quartiles ${sorted[$((pairs / 4))]} and ${sorted[$((3 * pairs / 4))]}), median $(median "${grown[@]}") trees/s"
done
