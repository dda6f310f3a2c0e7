// Convolution as a GEMM for one instruction set: weights are the left operand,
// packed at load; patches of pixels are packed a few panels at a time.
#include "planes.h"
#include "tile.h"

enum {
	KC_MAX = 384, // as in pack_amd64.go
	PANELS = 8,   // panels packed at a time: KC·PANELS·NR floats in the second-level cache
};

struct ig_ctx {
	const struct conv_task *t;
	const float *data, *bias, *res;
	const float *src; // padded planes, or x itself if pointwise
	float *padded;
	const float *x;
	float *y;
	struct layout l;
	int pointwise;
	long k, ocg, cg;          // depth; channels of a group
	long pixels, blocks, oc_parts; // pixels of all images; blocks of panels
};

// A run of pixels of one panel that are neighbours in the source.
struct ig_run {
	long at, n, src; // first column, length, offset of the source for tap 0
};

// A run of pixels of one panel in one image.
struct out {
	long at, n, dst; // offset into y for output channel 0
};

static long ig_runs(const struct ig_ctx *c, long p0, long n, struct ig_run *r, struct out *o, long *outs) {
	const struct conv_task *t = c->t;
	long size = t->oh * t->ow, count = 0;
	*outs = 0;
	for (long at = 0; at < n;) {
		long p = p0 + at, img = p / size, q = p % size;
		long len = size - q < n - at ? size - q : n - at;
		o[(*outs)++] = (struct out){at, len, img * t->oc * size + q};
		if (c->pointwise) {
			r[count++] = (struct ig_run){at, len, img * t->c * size + q};
			at += len;
			continue;
		}
		for (long end = at + len; at < end;) {
			long oy = q / t->ow, ox = q % t->ow, m = t->ow - ox < end - at ? t->ow - ox : end - at;
			r[count++] = (struct ig_run){at, m, img * t->c * c->l.plane + oy * t->sh * c->l.step + ox};
			at += m;
			q += m;
		}
	}
	return count;
}

// Rows k0..k0+kc of one panel. Copies go by whole vectors; what runs over the
// end of a row is written again by the next, and the last row has room.
static void pack_panel(const struct ig_ctx *c, float *dst, long first_channel, long k0, long kc,
                       const struct ig_run *r, long runs, long n) {
	const struct conv_task *t = c->t;
	long window = t->kh * t->kw;
	for (long k = 0; k < kc; k++, dst += NR) {
		long kk = k0 + k, ch = kk / window, q = kk % window;
		const float *src;
		if (c->pointwise)
			src = c->src + (first_channel + ch) * t->h * t->w;
		else
			src = c->src + (first_channel + ch) * c->l.plane + tap(t, &c->l, q / t->kw, q % t->kw);
		if (c->pointwise) {
			for (long i = 0; i < runs; i++)
				memcpy(dst + r[i].at, src + r[i].src, r[i].n * sizeof(float));
		} else {
			for (long i = 0; i < runs; i++)
				for (long j = 0; j < r[i].n; j += VL)
					v_store(dst + r[i].at + j, v_load(src + r[i].src + j));
		}
		if (n < NR)
			memset(dst + n, 0, (NR - n) * sizeof(float));
	}
}

// One register tile of output channels oc..oc+mr over one panel.
static void ig_tile(const struct ig_ctx *c, const float *w, const float *panel, long oc, long mr, long kc, long n,
                 const struct out *o, long outs, int first, int last) {
	const struct conv_task *t = c->t;
	long size = t->oh * t->ow;
	float *y = c->y + oc * size;
	if (outs == 1 && n == NR) {
		packed_tile[mr](kc, w, panel, y + o[0].dst, size, !first);
	} else {
		float edge[MRMAX * NR] __attribute__((aligned(64)));
		for (long r = 0; r < mr && !first; r++)
			for (long i = 0; i < outs; i++)
				memcpy(edge + r * NR + o[i].at, y + r * size + o[i].dst, o[i].n * sizeof(float));
		(n <= VL ? half_tile : packed_tile)[mr](kc, w, panel, edge, NR, !first);
		for (long r = 0; r < mr; r++)
			for (long i = 0; i < outs; i++)
				memcpy(y + r * size + o[i].dst, edge + r * NR + o[i].at, o[i].n * sizeof(float));
	}
	for (long r = 0; r < mr && last; r++)
		for (long i = 0; i < outs; i++) {
			long at = (oc + r) * size + o[i].dst;
			finish_row(t, c->y + at, c->res ? c->res + at : 0, c->bias[oc + r], o[i].n);
		}
}

static void igemm_task(void *arg, int task) {
	const struct ig_ctx *c = arg;
	long oc_part = task % c->oc_parts, b = task / c->oc_parts % c->blocks, g = task / c->oc_parts / c->blocks;
	long panels = (c->pixels + NR - 1) / NR;
	long j0 = panels * b / c->blocks, j1 = panels * (b + 1) / c->blocks;
	long tiles = tiles_of(c->ocg), t0 = tiles * oc_part / c->oc_parts, t1 = tiles * (oc_part + 1) / c->oc_parts;
	long kblocks = (c->k + KC_MAX - 1) / KC_MAX;
	long kc_top = (c->k + kblocks - 1) / kblocks;
	size_t bytes = (PANELS * NR * kc_top + NR + VL) * sizeof(float);
	int slot;
	float *pb = aimass_scratch_get(bytes, &slot);
	struct ig_run r[PANELS][NR];
	struct out o[PANELS][NR];
	long runs[PANELS], outs[PANELS], n[PANELS];
	for (long j = j0; j < j1; j++) {
		long q = j - j0;
		n[q] = c->pixels - j * NR < NR ? c->pixels - j * NR : NR;
		runs[q] = ig_runs(c, j * NR, n[q], r[q], o[q], &outs[q]);
	}
	for (long kb = 0; kb < kblocks; kb++) {
		long k0 = c->k * kb / kblocks, kc = c->k * (kb + 1) / kblocks - k0;
		for (long q = 0; q < j1 - j0; q++)
			pack_panel(c, pb + q * NR * kc, g * c->cg, k0, kc, r[q], runs[q], n[q]);
		for (long i = t0; i < t1; i++) {
			long m0 = tile_start(c->ocg, tiles, i), mr = tile_start(c->ocg, tiles, i + 1) - m0;
			const float *w = c->data + g * c->ocg * c->k + c->ocg * k0 + m0 * kc;
			for (long q = 0; q < j1 - j0; q++)
				ig_tile(c, w, pb + q * NR * kc, g * c->ocg + m0, mr, kc, n[q], o[q], outs[q], kb == 0, kb == kblocks - 1);
		}
	}
	aimass_scratch_put(pb, bytes, slot);
}

static void ig_pad_task(void *arg, int task) {
	const struct ig_ctx *c = arg;
	pad_plane(c->t, &c->l, c->padded + task * c->l.plane, c->x + task * c->t->h * c->t->w, 0);
}

static void igemm_images(const struct conv_task *t, const float *data, const float *bias,
                         const float *x, const float *res, float *y) {
	struct ig_ctx c = {.t = t, .data = data, .bias = bias, .res = res, .src = x, .x = x, .y = y};
	c.cg = t->c / t->group;
	c.ocg = t->oc / t->group;
	c.k = c.cg * t->kh * t->kw;
	c.pixels = t->n * t->oh * t->ow;
	c.pointwise = t->kh * t->kw == 1 && t->sh * t->sw == 1 && t->oh == t->h && t->ow == t->w && t->pt == 0 && t->pl == 0;
	int threads = (double)c.pixels * t->oc * c.k < 4e5 ? 1 : t->threads, slot = -1;
	size_t bytes = 0;
	if (!c.pointwise) {
		c.l = layout_of(t);
		bytes = (t->n * t->c * c.l.plane + VL) * sizeof(float);
		c.src = c.padded = aimass_scratch_get(bytes, &slot);
		aimass_pool_run(ig_pad_task, &c, (int)(t->n * t->c), threads);
	}
	long panels = (c.pixels + NR - 1) / NR;
	c.blocks = (panels + PANELS - 1) / PANELS;
	c.oc_parts = 1;
	if (threads > 1 && t->group * c.blocks < 4 * threads) {
		long want = (4 * threads + t->group - 1) / t->group;
		if (panels >= 2 * want)
			c.blocks = c.blocks > want ? c.blocks : want;
		else
			c.oc_parts = tiles_of(c.ocg) < 2 * threads ? tiles_of(c.ocg) : 2 * threads;
	}
	aimass_pool_run(igemm_task, &c, (int)(t->group * c.blocks * c.oc_parts), threads);
	if (c.padded)
		aimass_scratch_put(c.padded, bytes, slot);
}

void ISA(aimass_conv_igemm)(const struct conv_task *t, const float *data, const float *bias,
                            const float *x, const float *res, float *y) {
	in_batches(igemm_images, t, t->c * layout_of(t).plane, data, bias, x, res, y);
}
