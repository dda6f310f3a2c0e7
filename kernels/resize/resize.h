// What the Go side of resize calls; see resize.go.
#ifndef AIMASS_RESIZE_H
#define AIMASS_RESIZE_H

#include <stdint.h>

struct resize_task {
	int64_t planes, h, w, oh, ow;
	int32_t threads;
};

void aimass_resize_nearest(const struct resize_task *t, const int32_t *rows, const int32_t *cols, const float *x, float *y);
void aimass_resize_linear(const struct resize_task *t, const int32_t *row_lo, const int32_t *row_hi, const float *row_w,
                          const int32_t *col_lo, const int32_t *col_hi, const float *col_w, const float *x, float *y);

#endif
