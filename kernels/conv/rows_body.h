// Convolution along rows for one instruction set: a register tile is some
// output channels by some vectors of neighbouring columns, whose inputs are
// read where they lie, tap by tap.
#include "act.h"
#include "planes.h"

#if VL == 16
#define MRMAX 12
#else
#define MRMAX 6
#endif

struct rows_ctx {
	const struct conv_task *t;
	const float *data, *bias, *res;
	const float *x, *src; // src: padded planes, or x itself
	float *padded, *y;
	struct layout l;
	const long *taps;         // of each weight of an output channel
	long k, cg, ocg, tiles;   // depth; channels of a group; tiles of a group's output channels
	long row_parts, col_parts, tile_parts;
};

// What a tile has to do: n columns of the rows of MR output channels, size apart.
struct rows_tile {
	const struct rows_ctx *c;
	const float *w, *src, *bias, *res;
	float *y;
	long n, size;
};

INLINE void rows_tile(int MR, int NV, int whole, const struct rows_tile *a) {
	const struct rows_ctx *c = a->c;
	const float *w = a->w;
	vf acc[12][8];
	vm m[8];
	UNROLL(12) for (int r = 0; r < MR; r++)
		UNROLL(8) for (int j = 0; j < NV; j++)
			acc[r][j] = v_set(a->bias[r]);
	UNROLL(8) for (int j = 0; j < NV; j++) {
		long left = a->n - j * VL;
		m[j] = v_first(whole || left > VL ? VL : left < 0 ? 0 : left);
	}
	for (long k = 0; k < c->k; k++, w += MR) {
		const float *in = a->src + c->taps[k];
		vf v[8];
		UNROLL(8) for (int j = 0; j < NV; j++)
			v[j] = whole ? v_load(in + j * VL) : v_loadm(m[j], in + j * VL);
		UNROLL(12) for (int r = 0; r < MR; r++) {
			vf s = v_set(w[r]);
			UNROLL(8) for (int j = 0; j < NV; j++)
				acc[r][j] = v_fma(s, v[j], acc[r][j]);
		}
	}
	float *y = a->y;
	const float *res = a->res;
	UNROLL(12) for (int r = 0; r < MR; r++, y += a->size) {
		UNROLL(8) for (int j = 0; j < NV; j++) {
			vf s = acc[r][j];
			if (res)
				s = v_add(s, whole ? v_load(res + j * VL) : v_loadm(m[j], res + j * VL));
			if (c->t->act == ACT_RELU)
				s = v_max(v_zero(), s);
			if (whole)
				v_store(y + j * VL, s);
			else
				v_storem(m[j], y + j * VL, s);
		}
		if (res)
			res += a->size;
	}
}

typedef void rows_fn(const struct rows_tile *a);

#define ROWS(MR, NV) \
	static void rows_##MR##_##NV(const struct rows_tile *a) { rows_tile(MR, NV, 1, a); } \
	static void part_##MR##_##NV(const struct rows_tile *a) { rows_tile(MR, NV, 0, a); }

#if VL == 16
#define EACH_ROWS(M) \
	M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1) M(7, 1) M(8, 1) M(9, 1) M(10, 1) M(11, 1) M(12, 1) \
	M(1, 2) M(2, 2) M(3, 2) M(4, 2) M(5, 2) M(6, 2) M(7, 2) M(8, 2) M(9, 2) M(10, 2) M(11, 2) M(12, 2) \
	M(1, 4) M(2, 4) M(3, 4) M(4, 4) M(5, 4) M(6, 4) M(1, 8) M(2, 8)
#else
#define EACH_ROWS(M) \
	M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1) M(1, 2) M(2, 2) M(3, 2) M(4, 2) M(5, 2) M(6, 2) \
	M(1, 4) M(2, 4) M(1, 8)
#endif

EACH_ROWS(ROWS)

#define ROWS_AT(MR, NV) [MR][NV] = rows_##MR##_##NV,
#define PART_AT(MR, NV) [MR][NV] = part_##MR##_##NV,
static rows_fn *const rows_whole[MRMAX + 1][9] = {EACH_ROWS(ROWS_AT)};
static rows_fn *const rows_part[MRMAX + 1][9] = {EACH_ROWS(PART_AT)};

// The widest tile that n columns fill, or the narrowest that holds what is left.
INLINE long rows_width(long mr, long n) {
	long nv = 8;
	while (nv > 1 && (!rows_whole[mr][nv] || (nv - 1) * VL >= n))
		nv /= 2;
	return nv;
}

// Columns o0..o1 of one output row, tiles t0..t1 of a group's channels.
static void rows_row(const struct rows_ctx *c, long img, long g, long oy, long o0, long o1, long t0, long t1) {
	const struct conv_task *t = c->t;
	long size = t->oh * t->ow;
	const float *src = c->src + (img * t->c + g * c->cg) * c->l.plane + oy * t->sh * c->l.step;
	for (long i = t0; i < t1; i++) {
		long m0 = c->ocg * i / c->tiles, mr = c->ocg * (i + 1) / c->tiles - m0, oc = g * c->ocg + m0;
		for (long o = o0; o < o1;) {
			long nv = rows_width(mr, o1 - o), n = o1 - o < nv * VL ? o1 - o : nv * VL;
			long at = (img * t->oc + oc) * size + oy * t->ow + o;
			struct rows_tile a = {c, c->data + oc * c->k, src + o, c->bias + oc, c->res ? c->res + at : 0, c->y + at, n, size};
			(n == nv * VL ? rows_whole : rows_part)[mr][nv](&a);
			o += n;
		}
		if (t->act != ACT_NONE && t->act != ACT_RELU)
			for (long r = 0; r < mr; r++) {
				float *y = c->y + (img * t->oc + oc + r) * size + oy * t->ow + o0;
				ISA(aimass_act)(t->act, t->act_a, t->act_b, y, y, o1 - o0);
			}
	}
}

static void rows_task(void *arg, int task) {
	const struct rows_ctx *c = arg;
	const struct conv_task *t = c->t;
	long q = task, tp = q % c->tile_parts, cp = (q /= c->tile_parts) % c->col_parts, rp = (q /= c->col_parts) % c->row_parts;
	q /= c->row_parts;
	for (long oy = t->oh * rp / c->row_parts; oy < t->oh * (rp + 1) / c->row_parts; oy++)
		rows_row(c, q / t->group, q % t->group, oy, t->ow * cp / c->col_parts, t->ow * (cp + 1) / c->col_parts,
		         c->tiles * tp / c->tile_parts, c->tiles * (tp + 1) / c->tile_parts);
}

static void rows_pad_task(void *arg, int task) {
	const struct rows_ctx *c = arg;
	pad_plane(c->t, &c->l, c->padded + task * c->l.plane, c->x + task * c->t->h * c->t->w, 0);
}

// How the work is cut: rows first, then columns, then output channels.
static void rows_cut(struct rows_ctx *c, int threads) {
	const struct conv_task *t = c->t;
	long each = t->n * t->group, want = threads > 1 ? 4 * threads : 1;
	c->row_parts = c->col_parts = c->tile_parts = 1;
	if (each < want) {
		long parts = (want + each - 1) / each, cols = (t->ow + 8 * VL - 1) / (8 * VL);
		c->row_parts = parts < t->oh ? parts : t->oh;
		parts = (parts + c->row_parts - 1) / c->row_parts;
		c->col_parts = parts < cols ? parts : cols;
		parts = (parts + c->col_parts - 1) / c->col_parts;
		c->tile_parts = parts < c->tiles ? parts : c->tiles;
	}
}

static void rows_images(const struct conv_task *t, const float *data, const float *bias,
                        const float *x, const float *res, float *y) {
	struct rows_ctx c = {.t = t, .data = data, .bias = bias, .res = res, .src = x, .x = x, .y = y, .l = layout_of(t)};
	c.cg = t->c / t->group;
	c.ocg = t->oc / t->group;
	c.k = c.cg * t->kh * t->kw;
	c.tiles = (c.ocg + MRMAX - 1) / MRMAX;
	// Where windows lie inside the image and step by one column, nothing is copied.
	int inside = t->sw == 1 && t->pt == 0 && t->pl == 0 && (t->oh - 1) * t->sh + (t->kh - 1) * t->dh < t->h &&
	             t->ow - 1 + (t->kw - 1) * t->dw < t->w;
	if (inside)
		c.l = (struct layout){t->h, t->w, t->h * t->w, t->h * t->w};
	int threads = (double)t->n * t->oh * t->ow * t->oc * c.k < 4e5 ? 1 : t->threads, slot;
	size_t bytes = c.k * sizeof(long) + (inside ? 0 : (t->n * t->c * c.l.plane + VL) * sizeof(float));
	long *taps = aimass_scratch_get(bytes, &slot), window = t->kh * t->kw;
	for (long k = 0; k < c.k; k++)
		taps[k] = k / window * c.l.plane + tap(t, &c.l, k % window / t->kw, k % t->kw);
	c.taps = taps;
	if (!inside) {
		c.src = c.padded = (float *)(taps + c.k);
		aimass_pool_run(rows_pad_task, &c, (int)(t->n * t->c), threads);
	}
	rows_cut(&c, threads);
	aimass_pool_run(rows_task, &c, (int)(t->n * t->group * c.row_parts * c.col_parts * c.tile_parts), threads);
	aimass_scratch_put(taps, bytes, slot);
}

// Floats of padded planes that exist at a time, unless one image has more.
enum { PADDED_FLOATS = 8 << 20 };

// Goes over so many images at a time that their padded planes, each floats
// long, stay within PADDED_FLOATS.
static void in_batches(const struct conv_task *t, long each, const float *data, const float *bias,
                       const float *x, const float *res, float *y) {
	struct conv_task part = *t;
	long fit = PADDED_FLOATS / (each + 1) + 1, in = t->c * t->h * t->w, out = t->oc * t->oh * t->ow;
	for (long i = 0; i < t->n; i += fit) {
		part.n = t->n - i < fit ? t->n - i : fit;
		rows_images(&part, data, bias, x + i * in, res ? res + i * out : 0, y + i * out);
	}
}

void ISA(aimass_conv_rows)(const struct conv_task *t, const float *data, const float *bias,
                           const float *x, const float *res, float *y) {
	in_batches(t, t->c * layout_of(t).plane, data, bias, x, res, y);
}
