#!/usr/bin/env bash
# What a training job does to the p99 of serving. Pairs of short rounds of the same open load, one with the job running and one
# with the job's processes stopped, right after each other and in changing order, so that what else happens on the machine meets both;
# the figure is the median of the pairs' ratios.
# usage: p99.sh AIMASS [SECONDS [PAIRS [RATE…]]]
set -eu
aimass=$(realpath "$1") seconds=${2:-3} pairs=${3:-11}
shift $(($# < 3 ? $# : 3))
rates=("$@"); [ $# -gt 0 ] || rates=(500 1000)
dir=$(mktemp -d)
awk 'BEGIN{srand(1); for(f=0;f<28;f++)printf "x%d,",f; print "y"; for(i=0;i<60000;i++){z=0; for(f=0;f<28;f++){x=rand()+rand()+rand()+rand()-2; printf "%.4f,",x; if(f<4)z+=x*x} print (z+rand()>1.9)?1:0}}' >"$dir/data.csv"
mkdir "$dir/models"
"$aimass" train gbdt --data "$dir/data.csv" --target y --out "$dir/models" --model table --set rounds=100 >/dev/null 2>&1
"$aimass" serve --models "$dir/models" --http 127.0.0.1:0 --grpc off --metrics off --train-data "$dir" --welcome >"$dir/log" 2>&1 &
server=$! child=
trap '[ -z "$child" ] || kill -CONT -- -$child 2>/dev/null || true; kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$dir"' EXIT
until url=$(grep -oE 'http://[0-9.:]+' "$dir/log" | head -n1) && [ -n "$url" ] && curl -sf "$url/v2/health/ready" >/dev/null; do sleep 0.1; done
field() { grep -o "\"$1\":[0-9]*" | head -n1 | cut -d: -f2; }
p99() { "$aimass" bench load "$url" --model table --rate "$1" --warmup 500ms --duration "${seconds}s" --json --quiet | field p99_ns; }
id=$(curl -s "$url/v2/train/jobs" -d '{"trainer":"gbdt","model":"other","target":"y","data":{"path":"data.csv"},"parameters":{"rounds":1000000,"early_stop":0}}' | grep -o '"id":"[^"]*"' | head -n1 | cut -d'"' -f4)
trees() { curl -s "$url/v2/train/jobs/$id" | field step; }
for _ in $(seq 300); do [ -n "$(trees)" ] && break; sleep 0.1; done
child=$(pgrep -P $server | head -n1)
echo "the job: $(chrt -p "$child" | head -n1 | sed 's/.*: //'), $(ps -o nlwp= -p "$child" | tr -d ' ') threads; load average $(cut -d' ' -f1 /proc/loadavg)"
with() { kill -CONT -- -"$child"; sleep .2; p99 "$1"; }
without() { kill -STOP -- -"$child"; sleep .2; p99 "$1"; }
for rate in "${rates[@]}"; do
  ratios=()
  before=$(trees)
  for k in $(seq "$pairs"); do
    if [ $((k % 2)) = 1 ]; then a=$(without "$rate"); b=$(with "$rate"); else b=$(with "$rate"); a=$(without "$rate"); fi
    ratios+=("$(awk "BEGIN{printf \"%.3f\", $b / $a}")")
    echo "  $rate/s: p99 without $(awk "BEGIN{printf \"%.2f\", $a/1e6}") ms, with $(awk "BEGIN{printf \"%.2f\", $b/1e6}") ms, ratio ${ratios[-1]}"
  done
  kill -CONT -- -"$child"
  sorted=($(printf '%s\n' "${ratios[@]}" | sort -g))
  echo "$rate/s: median of $pairs ratios ${sorted[$((pairs / 2))]} (quartiles ${sorted[$((pairs / 4))]} and ${sorted[$((3 * pairs / 4))]}), $(($(trees) - before)) trees grown meanwhile"
done
