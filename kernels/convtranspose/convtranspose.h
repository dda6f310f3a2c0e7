// What the Go side of convtranspose calls; see convtranspose.go.
#ifndef AIMASS_CONVTRANSPOSE_H
#define AIMASS_CONVTRANSPOSE_H

#include <stdint.h>

// Extents and strides by axis: planes, rows, columns. width floats make a place.
struct weave_task {
	int64_t planes, width;
	int64_t at[3], in[3], out[3], step[3];
	int32_t threads;
};

void aimass_weave(const struct weave_task *t, const float *src, float *dst);

#endif
