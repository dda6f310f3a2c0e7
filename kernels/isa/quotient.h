// Division of many floats by one.
#ifndef AIMASS_QUOTIENT_H
#define AIMASS_QUOTIENT_H

#include "simd.h"

struct divisor {
	vf by, inverse;
	int exact; // the quotient follows from a product by the inverse and its error
};

INLINE struct divisor divisor_of(float by) {
	uint32_t bits;
	memcpy(&bits, &by, 4);
	// A significand of ones has an inverse that is rounded the wrong way; errors among subnormals aren't exact.
	return (struct divisor){v_set(by), v_set(1.0f / by), (bits & 0x7fffff) != 0x7fffff && by > 1e-18f && by < 1e18f};
}

// x / by, rounded to nearest: with the inverse rounded to nearest, one correction by the exact error gives it
// (Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", 1990).
INLINE vf quotient(struct divisor d, vf x) {
	if (!d.exact)
		return v_div(x, d.by);
	vf q = v_mul(x, d.inverse);
	return v_fma(v_fnma(q, d.by, x), d.inverse, q);
}

#endif
