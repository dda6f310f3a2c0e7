// What the Go side of convtranspose calls; see convtranspose.go.
#ifndef AIMASS_CONVTRANSPOSE_H
#define AIMASS_CONVTRANSPOSE_H

#include <stdint.h>

struct fold_task {
	int64_t planes, oh, ow, h, w, kh, kw, sh, sw, dh, dw, pt, pl;
	int32_t threads;
};

void aimass_fold(const struct fold_task *t, const float *cols, const float *bias, float *y);

#endif
