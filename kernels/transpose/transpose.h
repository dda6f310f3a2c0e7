// What the Go side of transpose calls; see transpose.go.
#ifndef AIMASS_TRANSPOSE_H
#define AIMASS_TRANSPOSE_H

#include <stdint.h>

struct transpose_task {
	int64_t ldd, lds, rows, cols;
	int32_t threads;
};

void aimass_transpose_bytes(const struct transpose_task *t, uint8_t *dst, const uint8_t *src);
void aimass_transpose_words(const struct transpose_task *t, uint32_t *dst, const uint32_t *src);

#endif
