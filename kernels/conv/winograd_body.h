// Winograd's F(2×2, 3×3) for one instruction set (Lavin and Gray, Fast
// Algorithms for Convolutional Neural Networks, 2015): sixteen products of
// transformed weights and transformed 4×4 tiles give each 2×2 block of the
// result. Tiles are numbered over all images, rows and columns.
#include "planes.h"
#include "tile.h"

enum {
	// Floats of transformed tiles at a time, for the second-level cache.
	V_FLOATS = 16 * 8192,
	// Output channels between two passes of the inverse transform.
	OC_CHUNK = MRMAX * (VL == 16 ? 8 : 16),
};

struct wino_ctx {
	const struct conv_task *t;
	const float *data, *bias, *x, *res;
	float *padded, *y;
	struct layout l;
	long ty, tx, tiles; // tile rows and columns of an image; tiles in all
	long per, blocks, oc_parts; // panels a block at most
};

// A run of neighbouring tiles in one tile row and one panel.
struct wino_run {
	long img, ty, tx, n; // n ≤ VL tiles from (ty, tx) of image img
	long panel, lane;
};

static long wino_runs(const struct wino_ctx *c, long first, long last, struct wino_run *r) {
	long count = 0, each = c->ty * c->tx;
	for (long t = first; t < last;) {
		long q = t % each, at = t - first;
		struct wino_run *k = &r[count++];
		*k = (struct wino_run){t / each, q / c->tx, q % c->tx, last - t, at / NR, at % NR};
		long left = c->tx - k->tx, room = NR - k->lane;
		k->n = k->n < left ? k->n : left;
		k->n = k->n < room ? k->n : room;
		k->n = k->n < VL ? k->n : VL;
		t += k->n;
	}
	return count;
}

// Bᵀ·d·B of VL tiles of one channel; out steps by plane from one of the sixteen
// values to the next.
INLINE void transform_in(const float *d, long step, float *out, long plane, long n, int masked) {
	vf e[4][4]; // columns 0..3 of the tiles, for the four row combinations
	vf raw[4][4];
	UNROLL(4) for (int i = 0; i < 4; i++) {
		raw[i][0] = v_load(d + i * step);
		raw[i][1] = v_load(d + i * step + VL);
		raw[i][2] = v_load(d + i * step + 2);
		raw[i][3] = v_load(d + i * step + 2 + VL);
	}
	vf row[4][4];
	UNROLL(4) for (int j = 0; j < 4; j++) {
		row[0][j] = v_sub(raw[0][j], raw[2][j]);
		row[1][j] = v_add(raw[1][j], raw[2][j]);
		row[2][j] = v_sub(raw[2][j], raw[1][j]);
		row[3][j] = v_sub(raw[1][j], raw[3][j]);
	}
	UNROLL(4) for (int i = 0; i < 4; i++) {
		v_unzip(row[i][0], row[i][1], &e[i][0], &e[i][1]);
		v_unzip(row[i][2], row[i][3], &e[i][2], &e[i][3]);
		vf v[4] = {v_sub(e[i][0], e[i][2]), v_add(e[i][1], e[i][2]), v_sub(e[i][2], e[i][1]), v_sub(e[i][1], e[i][3])};
		UNROLL(4) for (int j = 0; j < 4; j++) {
			if (masked)
				v_storen(out + (i * 4 + j) * plane, v[j], n);
			else
				v_store(out + (i * 4 + j) * plane, v[j]);
		}
	}
}

// Aᵀ·m·A of VL tiles: two rows of 2·VL results.
INLINE void transform_out(const float *m, long plane, vf y[2][2]) {
	vf s[2][4];
	UNROLL(4) for (int j = 0; j < 4; j++) {
		vf m0 = v_load(m + j * plane), m1 = v_load(m + (4 + j) * plane);
		vf m2 = v_load(m + (8 + j) * plane), m3 = v_load(m + (12 + j) * plane);
		s[0][j] = v_add(v_add(m0, m1), m2);
		s[1][j] = v_sub(v_sub(m1, m2), m3);
	}
	UNROLL(2) for (int i = 0; i < 2; i++)
		v_zip(v_add(v_add(s[i][0], s[i][1]), s[i][2]), v_sub(v_sub(s[i][1], s[i][2]), s[i][3]), &y[i][0], &y[i][1]);
}

static void tiles_in(const struct wino_ctx *c, const struct wino_run *r, long runs, float *v, long panels) {
	long plane = panels * c->t->c * NR;
	for (long i = 0; i < runs; i++) {
		const float *d = c->padded + r[i].img * c->t->c * c->l.plane + 2 * r[i].ty * c->l.step + 2 * r[i].tx;
		float *out = v + r[i].panel * c->t->c * NR + r[i].lane;
		int masked = r[i].lane + VL > NR || r[i].n < VL;
		for (long ch = 0; ch < c->t->c; ch++, d += c->l.plane, out += NR) {
			if (masked)
				transform_in(d, c->l.step, out, plane, r[i].n, 1);
			else
				transform_in(d, c->l.step, out, plane, VL, 0);
		}
	}
}

static void tiles_out(const struct wino_ctx *c, const struct wino_run *r, long runs, const float *m, long width,
                      long oc0, long channels) {
	const struct conv_task *t = c->t;
	long plane = channels * width;
	for (long ch = 0; ch < channels; ch++) {
		for (long i = 0; i < runs; i++) {
			vf y[2][2];
			transform_out(m + ch * width + r[i].panel * NR + r[i].lane, plane, y);
			long oy = 2 * r[i].ty, ox = 2 * r[i].tx, cols = t->ow - ox < 2 * r[i].n ? t->ow - ox : 2 * r[i].n;
			long at = ((r[i].img * t->oc + oc0 + ch) * t->oh + oy) * t->ow + ox;
			for (int k = 0; k < 2 && oy + k < t->oh; k++, at += t->ow) {
				float *out = c->y + at;
				if (cols == 2 * VL) {
					v_store(out, y[k][0]);
					v_store(out + VL, y[k][1]);
				} else {
					v_storen(out, y[k][0], cols < VL ? cols : VL);
					if (cols > VL)
						v_storen(out + VL, y[k][1], cols - VL);
				}
				finish_row(t, out, c->res ? c->res + at : 0, c->bias[oc0 + ch], cols);
			}
		}
	}
}

static void winograd_task(void *arg, int task) {
	const struct wino_ctx *c = arg;
	const struct conv_task *t = c->t;
	long b = task / c->oc_parts, part = task % c->oc_parts;
	long all = (c->tiles + NR - 1) / NR, j0 = all * b / c->blocks, j1 = all * (b + 1) / c->blocks;
	long panels = j1 - j0, first = j0 * NR, last = j1 * NR < c->tiles ? j1 * NR : c->tiles;
	long oct = tiles_of(t->oc), i0 = oct * part / c->oc_parts, i1 = oct * (part + 1) / c->oc_parts;
	size_t fv = 16 * panels * t->c * NR, fm = 16 * (OC_CHUNK + MRMAX) * panels * NR, fr = panels * NR;
	size_t bytes = (fv + fm + VL) * sizeof(float) + fr * sizeof(struct wino_run);
	int slot;
	float *v = aimass_scratch_get(bytes, &slot), *m = v + fv;
	struct wino_run *r = (struct wino_run *)(m + fm + VL);
	long runs = wino_runs(c, first, last, r), width = panels * NR;
	tiles_in(c, r, runs, v, panels);
	long chunk = OC_CHUNK / MRMAX;
	for (long i = i0; i < i1; i += chunk) {
		long e = i + chunk < i1 ? i + chunk : i1;
		long oc0 = tile_start(t->oc, oct, i), channels = tile_start(t->oc, oct, e) - oc0;
		for (long xi = 0; xi < 16; xi++) {
			for (long q = i; q < e; q++) {
				long m0 = tile_start(t->oc, oct, q), mr = tile_start(t->oc, oct, q + 1) - m0;
				const float *u = c->data + (xi * t->oc + m0) * t->c;
				float *out = m + (xi * channels + m0 - oc0) * width;
				for (long p = 0; p < panels; p++) {
					int half = first + p * NR + VL >= last;
					(half ? half_tile : packed_tile)[mr](t->c, u, v + (xi * panels + p) * t->c * NR, out + p * NR, width, 0);
				}
			}
		}
		tiles_out(c, r, runs, m, width, oc0, channels);
	}
	aimass_scratch_put(v, bytes, slot);
}

static void wino_pad_task(void *arg, int task) {
	const struct wino_ctx *c = arg;
	pad_plane(c->t, &c->l, c->padded + task * c->l.plane, c->x + task * c->t->h * c->t->w, 0);
}

static void winograd_images(const struct conv_task *t, const float *data, const float *bias,
                            const float *x, const float *res, float *y) {
	struct wino_ctx c = {.t = t, .data = data, .bias = bias, .x = x, .res = res, .y = y};
	c.ty = (t->oh + 1) / 2;
	c.tx = (t->ow + 1) / 2;
	c.tiles = t->n * c.ty * c.tx;
	c.l.rows = 2 * c.ty + 2;
	c.l.step = 2 * c.tx + 2 + 2 * VL + 2;
	c.l.phase = c.l.plane = c.l.rows * c.l.step;
	int threads = (double)c.tiles * t->oc * t->c < 2e4 ? 1 : t->threads, slot;
	size_t bytes = (t->n * t->c * c.l.plane + 2 * VL) * sizeof(float);
	c.padded = aimass_scratch_get(bytes, &slot);
	aimass_pool_run(wino_pad_task, &c, (int)(t->n * t->c), threads);
	long panels = (c.tiles + NR - 1) / NR;
	c.per = V_FLOATS / (16 * t->c * NR);
	c.per = c.per < 1 ? 1 : c.per;
	c.blocks = (panels + c.per - 1) / c.per;
	c.oc_parts = 1;
	if (threads > 1 && c.blocks < 3 * threads) {
		if (panels >= 4 * threads)
			c.blocks = 4 * threads;
		else
			c.oc_parts = threads;
	}
	aimass_pool_run(winograd_task, &c, (int)(c.blocks * c.oc_parts), threads);
	aimass_scratch_put(c.padded, bytes, slot);
}

void ISA(aimass_conv_winograd)(const struct conv_task *t, const float *data, const float *bias,
                               const float *x, const float *res, float *y) {
	in_batches(winograd_images, t, t->c * (t->oh + 3) * (t->ow + 2 * VL + 5), data, bias, x, res, y);
}
