#!/bin/sh
# Runs what make cuda-hw has packed, on a machine with a GPU and its driver: what the doctor says, every kernel against
# float64, models against the CPU. It needs neither Go nor a network. The output is the dated result.
cd "$(dirname "$0")" || exit 1
out=result-$(date +%F).txt
export AIMASS_CUDA_HARDWARE=1
{
	date -u
	uname -a
	nvidia-smi 2>&1
	./aimass doctor
	./kernel.test -test.v -test.timeout 60m
	./runtime.test -test.v -test.timeout 60m -test.run GPU
} 2>&1 | tee "$out"
echo "written to $out"
