// Winograd's F(2×2, 3×3) over blocked images for one instruction set (Lavin
// and Gray, Fast Algorithms for Convolutional Neural Networks, 2015): sixteen
// products of transformed weights and transformed 4×4 tiles give each 2×2
// piece of the result. A vector holds the channels of a block, so transforms
// are plain sums. Tiles are numbered over all images, rows and columns.
#include "cell.h"

enum {
	TILE_FLOATS = 256 << 10, // transformed tiles at a time
	MIN_TILES = 64,          // as many share a pass over the weights
};

struct wino_ctx {
	const struct nchwc_task *t;
	const float *data, *bias, *x, *res;
	float *y;
	long ty, tx, tiles, chunks, groups, oc_parts;
	long depth; // input blocks of all planes of the window
};

// Bᵀ·d·B of one 4×4 tile; in holds its sixteen places, row by row a step apart.
INLINE void wino_in(const float *in, long step, float *out, long plane) {
	vf r[4][4];
	UNROLL(4) for (int j = 0; j < 4; j++) {
		vf d0 = v_load(in + j * VL), d1 = v_load(in + step + j * VL);
		vf d2 = v_load(in + 2 * step + j * VL), d3 = v_load(in + 3 * step + j * VL);
		r[0][j] = v_sub(d0, d2);
		r[1][j] = v_add(d1, d2);
		r[2][j] = v_sub(d2, d1);
		r[3][j] = v_sub(d1, d3);
	}
	UNROLL(4) for (int i = 0; i < 4; i++) {
		v_store(out + (4 * i + 0) * plane, v_sub(r[i][0], r[i][2]));
		v_store(out + (4 * i + 1) * plane, v_add(r[i][1], r[i][2]));
		v_store(out + (4 * i + 2) * plane, v_sub(r[i][2], r[i][1]));
		v_store(out + (4 * i + 3) * plane, v_sub(r[i][1], r[i][3]));
	}
}

// The tile's places with zeros outside of the image.
static void wino_edge(const struct nchwc_task *t, const float *plane, long iy, long ix, float *out) {
	for (long y = iy; y < iy + 4; y++)
		for (long x = ix; x < ix + 4; x++, out += VL)
			v_store(out, y < 0 || x < 0 || y >= t->h || x >= t->w ? v_zero() : v_load(plane + (y * t->w + x) * VL));
}

// v is [16][plane of the window, input block][tile of the chunk]; a volume's planes count as images.
static void wino_tiles_in(const struct wino_ctx *c, float *v, long first, long n) {
	const struct nchwc_task *t = c->t;
	long each = c->ty * c->tx, size = t->h * t->w * VL, plane = c->depth * n * VL;
	float edge[16 * VL] __attribute__((aligned(64)));
	for (long b = 0; b < c->depth; b++)
		for (long i = 0; i < n; i++) {
			long img = (first + i) / each, q = (first + i) % each;
			long iy = 2 * (q / c->tx) - t->pt, ix = 2 * (q % c->tx) - t->pl;
			long iz = img % t->od * t->sd - t->pf + b / t->c * t->dd;
			const float *in = c->x + ((img / t->od * t->c + b % t->c) * t->d + iz) * size;
			float *out = v + (b * n + i) * VL;
			if (iz < 0 || iz >= t->d) {
				for (int k = 0; k < 16; k++)
					v_store(out + k * plane, v_zero());
			} else if (iy >= 0 && ix >= 0 && iy + 4 <= t->h && ix + 4 <= t->w) {
				wino_in(in + (iy * t->w + ix) * VL, t->w * VL, out, plane);
			} else {
				wino_edge(t, in, iy, ix, edge);
				wino_in(edge, 4 * VL, out, plane);
			}
		}
}

// Aᵀ·m·A of one tile: four places.
INLINE void wino_out(const float *m, long plane, vf o[2][2]) {
	vf s[2][4];
	UNROLL(4) for (int j = 0; j < 4; j++) {
		vf m0 = v_load(m + j * plane), m1 = v_load(m + (4 + j) * plane);
		vf m2 = v_load(m + (8 + j) * plane), m3 = v_load(m + (12 + j) * plane);
		s[0][j] = v_add(v_add(m0, m1), m2);
		s[1][j] = v_sub(v_sub(m1, m2), m3);
	}
	UNROLL(2) for (int i = 0; i < 2; i++) {
		o[i][0] = v_add(v_add(s[i][0], s[i][1]), s[i][2]);
		o[i][1] = v_sub(v_sub(s[i][1], s[i][2]), s[i][3]);
	}
}

// m is [16][block of the group][tile of the chunk].
static void wino_tiles_out(const struct wino_ctx *c, const float *m, long first, long n, long f0, long f) {
	const struct nchwc_task *t = c->t;
	long each = c->ty * c->tx, plane = f * n * VL;
	for (long b = 0; b < f; b++) {
		vf bias = v_load(c->bias + (f0 + b) * VL);
		for (long i = 0; i < n; i++) {
			long img = (first + i) / each, q = (first + i) % each, oy = 2 * (q / c->tx), ox = 2 * (q % c->tx);
			long cols = t->ow - ox < 2 ? 1 : 2, rows = t->oh - oy < 2 ? 1 : 2;
			long at = ((((img / t->od * t->oc + f0 + b) * t->od + img % t->od) * t->oh + oy) * t->ow + ox) * VL;
			vf o[2][2];
			wino_out(m + (b * n + i) * VL, plane, o);
			for (long y = 0; y < rows; y++, at += t->ow * VL) {
				const float *res = c->res ? c->res + at : 0;
				for (long x = 0; x < cols; x++) {
					vf v = v_add(o[y][x], bias);
					if (res && !t->after)
						v = v_add(v, v_load(res + x * VL));
					if (t->act == 1)
						v = v_max(v_zero(), v);
					v_store(c->y + at + x * VL, v);
				}
				finish_cell(t, 0, cols, 1, res, c->y + at);
			}
		}
	}
}

static void wino_task(void *arg, int task) {
	const struct wino_ctx *c = arg;
	const struct nchwc_task *t = c->t;
	long part = task % c->oc_parts, q = task / c->oc_parts;
	long first = part_start(c->tiles, c->chunks, q), n = part_start(c->tiles, c->chunks, q + 1) - first;
	long g0 = part_start(c->groups, c->oc_parts, part), g1 = part_start(c->groups, c->oc_parts, part + 1);
	size_t fv = 16 * c->depth * n * VL, fm = 16 * FMAX * n * VL, bytes = (fv + fm) * sizeof(float);
	int slot;
	float *v = aimass_scratch_get(bytes, &slot), *m = v + fv;
	static const float none[FMAX * VL];
	static const long tap;
	wino_tiles_in(c, v, first, n);
	for (long g = g0; g < g1; g++) {
		long f0 = part_start(t->oc, c->groups, g), f = part_start(t->oc, c->groups, g + 1) - f0;
		const float *w = c->data + f0 * VL * c->depth * VL * 16;
		struct cell cell = {c->depth, 1, &tap, n * VL, n * VL, none, 0, 0};
		long tiles = parts_of(n, pmax[f]);
		for (long xi = 0; xi < 16; xi++, w += c->depth * VL * f * VL)
			for (long i = 0; i < tiles; i++) {
				long p0 = part_start(n, tiles, i), p = part_start(n, tiles, i + 1) - p0;
				cells[f][p](&cell, v + (xi * c->depth * n + p0) * VL, w, m + (xi * f * n + p0) * VL);
			}
		wino_tiles_out(c, m, first, n, f0, f);
	}
	aimass_scratch_put(v, bytes, slot);
}

NCHWC_CONV(ISA(aimass_nchwc_winograd)) {
	struct wino_ctx c = {.t = t, .data = data, .bias = bias, .x = x, .res = res, .y = y};
	c.ty = (t->oh + 1) / 2;
	c.tx = (t->ow + 1) / 2;
	c.tiles = t->n * t->od * c.ty * c.tx;
	c.depth = t->kd * t->c;
	c.groups = parts_of(t->oc, FMAX);
	c.oc_parts = 1;
	int threads = (double)c.tiles * t->oc * c.depth * VL * VL < 2e4 ? 1 : t->threads;
	long most = TILE_FLOATS / (16 * c.depth * VL), want = 4 * threads;
	c.chunks = parts_of(c.tiles, most > MIN_TILES ? most : MIN_TILES);
	if (threads > 1 && c.chunks < want) {
		long more = parts_of(c.tiles, MIN_TILES);
		c.chunks = more < want ? more : want;
		c.oc_parts = (want + c.chunks - 1) / c.chunks;
		c.oc_parts = c.oc_parts < c.groups ? c.oc_parts : c.groups;
		// The transform is done again for each part.
		if (c.oc_parts > threads)
			c.oc_parts = threads;
	}
	aimass_pool_run(wino_task, &c, (int)(c.chunks * c.oc_parts), threads);
}
