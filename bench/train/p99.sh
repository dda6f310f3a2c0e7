#!/usr/bin/env bash
# What a training job does to the p99 of serving: the same open load without and with a job running, in turn.
# usage: p99.sh AIMASS [RATE [SECONDS [ROUNDS]]]; prints a line a measurement and the ratio of the medians.
set -eu
aimass=$1 rate=${2:-1000} seconds=${3:-8} rounds=${4:-3}
dir=$(mktemp -d)
url=http://127.0.0.1:18080
awk 'BEGIN{srand(1); for(f=0;f<28;f++)printf "x%d,",f; print "y"; for(i=0;i<60000;i++){z=0; for(f=0;f<28;f++){x=rand()+rand()+rand()+rand()-2; printf "%.4f,",x; if(f<4)z+=x*x} print (z+rand()>1.9)?1:0}}' >"$dir/data.csv"
mkdir "$dir/models"
"$aimass" train gbdt --data "$dir/data.csv" --target y --out "$dir/models" --model table --set rounds=100 >/dev/null 2>&1
"$aimass" serve --models "$dir/models" --http 127.0.0.1:18080 --grpc off --metrics off --train-data "$dir" >"$dir/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$dir"' EXIT
until curl -sf $url/v2/health/ready >/dev/null; do sleep 0.1; done
load() { "$aimass" bench load $url --model table --rate "$rate" --warmup 1s --duration "${seconds}s" --json --quiet | grep -o '"p99_ns":[0-9]*' | head -n1 | cut -d: -f2; }
job() { curl -s $url/v2/train/jobs -d '{"trainer":"'"$1"'","model":"other","target":"y","data":{"path":"data.csv"},"parameters":{"rounds":100000,"early_stop":0}}' | grep -o '"id":"[^"]*"' | head -n1 | cut -d'"' -f4; }
without=() with=()
for _ in $(seq "$rounds"); do
  without+=("$(load)")
  id=$(job gbdt); sleep 2
  with+=("$(load)")
  steps=$(curl -s $url/v2/train/jobs/"$id" | grep -o '"step":[0-9]*' | head -n1 | cut -d: -f2 || true)
  curl -s $url/v2/train/jobs/"$id"/cancel -d '{}' >/dev/null; sleep 1
  echo "p99 without a job ${without[-1]}, with one ${with[-1]} (which grew ${steps:-0} trees meanwhile)"
done
median() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }
echo "ratio of the medians: $(awk "BEGIN{printf \"%.2f\", $(median "${with[@]}") / $(median "${without[@]}")}")"
