// The functions of kernels/act over memory, compiled once for each instruction
// set and called by the other rooms' C files.
#ifndef AIMASS_ACT_H
#define AIMASS_ACT_H

// dst[i] = f(src[i]) for n values; dst may be src.
typedef void aimass_act_fn(int op, float a, float b, float *dst, const float *src, long n);
aimass_act_fn aimass_act_avx2, aimass_act_avx512;

#endif
