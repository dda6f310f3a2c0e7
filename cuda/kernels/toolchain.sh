#!/usr/bin/env bash
# Fetches the CUDA compiler as Python wheels: toolchain.sh DIR. Neither a GPU nor root is needed, nor
# CUDA on the machine; DIR becomes a virtual environment of some 500 MB. It prints CUDA_HOME.
#
# The release decides what the PTX may use, not which drivers load it: cuda/ptx/build lowers the
# version that the text asks for to the oldest which ptxas accepts it under.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=$1
packages=(
  nvidia-cuda-nvcc==13.0.88      # nvcc, ptxas, cudafe++
  nvidia-cuda-crt==13.0.88       # headers that nvcc includes by itself
  nvidia-nvvm==13.0.88           # cicc and libdevice
  nvidia-cuda-runtime==13.0.96   # cuda_fp16.h
  nvidia-cuda-cccl==13.0.85      # headers that cuda_fp16.h includes
  nvidia-cuda-nvdisasm==13.5.37  # reads older cubins; no wheel of it is older than 13.2.51
)
# A virtual environment: pip's --target doesn't merge the packages' common nvidia/ folder.
[ -x "$dir/bin/pip" ] || python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --no-deps --no-compile --disable-pip-version-check "${packages[@]}" >&2
homes=("$dir"/lib/python3*/site-packages/nvidia/cu13)
home=$(cd "${homes[0]}" && pwd)
[ -e "$home/lib64" ] || ln -s lib "$home/lib64"  # where nvcc looks
echo "$home"
