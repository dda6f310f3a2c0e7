#!/usr/bin/env bash
# Fetches cuda.h of several CUDA releases as Python wheels of some 4 MB: toolkits.sh DIR makes
# DIR/VERSION/include. Our header is held to them, and the driver's package compiled against them.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
for package in nvidia-cuda-runtime-cu12==12.0.146 nvidia-cuda-runtime-cu12==12.9.79 nvidia-cuda-runtime==13.0.96; do
  at=$1/${package##*==}
  [ -e "$at/include" ] && continue
  mkdir -p "$at"
  python3 -m pip download --quiet --no-deps --disable-pip-version-check -d "$at" "$package" >&2
  python3 -m zipfile -e "$at"/*.whl "$at"
  found=("$at"/nvidia/*/include)
  ln -sfn "${found[0]#"$at"/}" "$at/include"
done
