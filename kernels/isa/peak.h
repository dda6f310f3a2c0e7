// Chains of fused multiply-adds, to measure what a machine can do.
#ifndef AIMASS_PEAK_H
#define AIMASS_PEAK_H

float aimass_fma_chains_avx2(long steps);
float aimass_fma_chains_avx512(long steps);

#endif
