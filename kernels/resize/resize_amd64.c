//go:build cgo && !noasm

// Sampling is bound by its table look-ups, so it is plain C for every
// instruction set; rows that repeat are copied or mixed from what is there.
#include "resize.h"

#include <string.h>

#include "pool.h"

struct ctx {
	const struct resize_task *t;
	const int32_t *rows, *cols, *row_lo, *row_hi, *col_lo, *col_hi;
	const float *row_w, *col_w, *x;
	float *y;
};

static void nearest_plane(void *arg, int p) {
	const struct ctx *c = arg;
	const struct resize_task *t = c->t;
	const float *x = c->x + p * t->h * t->w;
	float *y = c->y + p * t->oh * t->ow;
	for (int64_t i = 0; i < t->oh; i++, y += t->ow) {
		if (i > 0 && c->rows[i] == c->rows[i - 1]) {
			memcpy(y, y - t->ow, t->ow * sizeof(float));
			continue;
		}
		const float *src = x + c->rows[i] * t->w;
		for (int64_t j = 0; j < t->ow; j++)
			y[j] = src[c->cols[j]];
	}
}

static int threads_of(const struct resize_task *t) { return t->planes * t->oh * t->ow < 50000 ? 1 : t->threads; }

void aimass_resize_nearest(const struct resize_task *t, const int32_t *rows, const int32_t *cols, const float *x, float *y) {
	struct ctx c = {.t = t, .rows = rows, .cols = cols, .x = x, .y = y};
	aimass_pool_run(nearest_plane, &c, (int)t->planes, threads_of(t));
}

static void mix_columns(const struct ctx *c, const float *restrict src, float *restrict out) {
	for (int64_t j = 0; j < c->t->ow; j++)
		out[j] = (1 - c->col_w[j]) * src[c->col_lo[j]] + c->col_w[j] * src[c->col_hi[j]];
}

// Two source rows, mixed along the columns, are kept from row to row of the
// result, whatever order the table visits them in.
static void linear_plane(void *arg, int p) {
	const struct ctx *c = arg;
	const struct resize_task *t = c->t;
	const float *x = c->x + p * t->h * t->w;
	float *y = c->y + p * t->oh * t->ow;
	size_t bytes = 2 * t->ow * sizeof(float);
	int slot;
	float *buf = aimass_scratch_get(bytes, &slot), *row[2] = {buf, buf + t->ow};
	int32_t have[2] = {-1, -1};
	for (int64_t i = 0; i < t->oh; i++, y += t->ow) {
		int32_t lo = c->row_lo[i], hi = c->row_hi[i];
		if (have[0] != lo && (have[1] == lo || have[0] == hi)) {
			float *r = row[0];
			int32_t h = have[0];
			row[0] = row[1];
			have[0] = have[1];
			row[1] = r;
			have[1] = h;
		}
		if (have[0] != lo) {
			mix_columns(c, x + lo * t->w, row[0]);
			have[0] = lo;
		}
		if (have[1] != hi) {
			mix_columns(c, x + hi * t->w, row[1]);
			have[1] = hi;
		}
		float w = c->row_w[i];
		for (int64_t j = 0; j < t->ow; j++)
			y[j] = (1 - w) * row[0][j] + w * row[1][j];
	}
	aimass_scratch_put(buf, bytes, slot);
}

void aimass_resize_linear(const struct resize_task *t, const int32_t *row_lo, const int32_t *row_hi, const float *row_w,
                          const int32_t *col_lo, const int32_t *col_hi, const float *col_w, const float *x, float *y) {
	struct ctx c = {.t = t, .row_lo = row_lo, .row_hi = row_hi, .row_w = row_w, .col_lo = col_lo, .col_hi = col_hi,
	                .col_w = col_w, .x = x, .y = y};
	aimass_pool_run(linear_plane, &c, (int)t->planes, threads_of(t));
}
