#include "peak.h"
#include "simd.h"

// Twelve chains cover a latency of four cycles on two units of any machine
// these instruction sets are found on, with room to spare.
float ISA(aimass_fma_chains)(long steps) {
	vf a[12], x = v_set(1.0f), y = v_set(0.5f);
	UNROLL(12) for (int i = 0; i < 12; i++)
		a[i] = v_set((float)i);
	for (long k = 0; k < steps; k++) {
		UNROLL(12) for (int i = 0; i < 12; i++)
			a[i] = v_fma(a[i], y, x);
	}
	UNROLL(12) for (int i = 1; i < 12; i++)
		a[0] = v_add(a[0], a[i]);
	return v_hsum(a[0]);
}
