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
	// Of volumes: the output planes z0..z0+nz of this pass, which read input planes from
	// z0·sd − pf on, of which src has zin for each channel.
	long z0, nz, zin;
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

// Columns o0..o1 of row oy of plane z of this pass, tiles t0..t1 of a group's channels.
static void rows_row(const struct rows_ctx *c, long img, long g, long z, long oy, long o0, long o1, long t0, long t1) {
	const struct conv_task *t = c->t;
	long size = t->od * t->oh * t->ow, row = ((c->z0 + z) * t->oh + oy) * t->ow;
	const float *src = c->src + ((img * t->c + g * c->cg) * c->zin + z * t->sd) * c->l.plane + oy * t->sh * c->l.step;
	for (long i = t0; i < t1; i++) {
		long m0 = c->ocg * i / c->tiles, mr = c->ocg * (i + 1) / c->tiles - m0, oc = g * c->ocg + m0;
		for (long o = o0; o < o1;) {
			long nv = rows_width(mr, o1 - o), n = o1 - o < nv * VL ? o1 - o : nv * VL;
			long at = (img * t->oc + oc) * size + row + o;
			struct rows_tile a = {c, c->data + oc * c->k, src + o, c->bias + oc, c->res ? c->res + at : 0, c->y + at, n, size};
			(n == nv * VL ? rows_whole : rows_part)[mr][nv](&a);
			o += n;
		}
		if (t->act != ACT_NONE && t->act != ACT_RELU)
			for (long r = 0; r < mr; r++) {
				float *y = c->y + (img * t->oc + oc + r) * size + row + o0;
				ISA(aimass_act)(t->act, t->act_a, t->act_b, y, y, o1 - o0);
			}
	}
}

static void rows_task(void *arg, int task) {
	const struct rows_ctx *c = arg;
	const struct conv_task *t = c->t;
	long q = task, tp = q % c->tile_parts, cp = (q /= c->tile_parts) % c->col_parts, rp = (q /= c->col_parts) % c->row_parts;
	long z = (q /= c->row_parts) % c->nz;
	q /= c->nz;
	for (long oy = t->oh * rp / c->row_parts; oy < t->oh * (rp + 1) / c->row_parts; oy++)
		rows_row(c, q / t->group, q % t->group, z, oy, t->ow * cp / c->col_parts, t->ow * (cp + 1) / c->col_parts,
		         c->tiles * tp / c->tile_parts, c->tiles * (tp + 1) / c->tile_parts);
}

static void rows_pad_task(void *arg, int task) {
	const struct rows_ctx *c = arg;
	const struct conv_task *t = c->t;
	float *dst = c->padded + task * c->l.plane;
	long iz = c->z0 * t->sd - t->pf + task % c->zin;
	if (iz < 0 || iz >= t->d)
		memset(dst, 0, c->l.plane * sizeof(float));
	else
		pad_plane(t, &c->l, dst, c->x + (task / c->zin * t->d + iz) * t->h * t->w, 0);
}

// How the work is cut: rows first, then columns, then output channels.
static void rows_cut(struct rows_ctx *c, int threads) {
	const struct conv_task *t = c->t;
	long each = t->n * t->group * c->nz, want = threads > 1 ? 4 * threads : 1;
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

// Windows lie inside the image and step by one column: nothing is copied.
static int rows_inside(const struct conv_task *t) {
	return t->sw == 1 && t->pf == 0 && t->pt == 0 && t->pl == 0 && (t->od - 1) * t->sd + (t->kd - 1) * t->dd < t->d &&
	       (t->oh - 1) * t->sh + (t->kh - 1) * t->dh < t->h && t->ow - 1 + (t->kw - 1) * t->dw < t->w;
}

// Input planes of a channel that nz output planes read.
static long rows_planes(const struct conv_task *t, long nz) { return (nz - 1) * t->sd + (t->kd - 1) * t->dd + 1; }

// Output planes z0..z0+nz of all images.
static void rows_pass(const struct conv_task *t, const float *data, const float *bias,
                      const float *x, const float *res, float *y, long z0, long nz) {
	struct rows_ctx c = {.t = t, .data = data, .bias = bias, .res = res, .src = x, .x = x, .y = y, .l = layout_of(t), .z0 = z0, .nz = nz};
	c.cg = t->c / t->group;
	c.ocg = t->oc / t->group;
	long window = t->kh * t->kw;
	c.k = c.cg * t->kd * window;
	c.tiles = (c.ocg + MRMAX - 1) / MRMAX;
	c.zin = rows_planes(t, nz);
	int inside = rows_inside(t);
	if (inside) {
		c.l = (struct layout){t->h, t->w, t->h * t->w, t->h * t->w};
		c.zin = t->d;
	}
	int threads = (double)t->n * nz * t->oh * t->ow * t->oc * c.k < 4e5 ? 1 : t->threads, slot;
	size_t bytes = c.k * sizeof(long) + (inside ? 0 : (t->n * t->c * c.zin * c.l.plane + VL) * sizeof(float));
	long *taps = aimass_scratch_get(bytes, &slot);
	for (long k = 0; k < c.k; k++) {
		long plane = k / (t->kd * window) * c.zin + k / window % t->kd * t->dd;
		taps[k] = plane * c.l.plane + tap(t, &c.l, k % window / t->kw, k % t->kw);
	}
	c.taps = taps;
	if (!inside) {
		c.src = c.padded = (float *)(taps + c.k);
		aimass_pool_run(rows_pad_task, &c, (int)(t->n * t->c * c.zin), threads);
	}
	rows_cut(&c, threads);
	aimass_pool_run(rows_task, &c, (int)(t->n * t->group * nz * c.row_parts * c.col_parts * c.tile_parts), threads);
	aimass_scratch_put(taps, bytes, slot);
}

// Floats of padded planes that exist at a time, unless one image, or what one plane of a
// volume's result reads, has more. Those of volumes stay in the second-level cache, as
// planes are read by as many passes as the window is deep.
enum { PADDED_FLOATS = 8 << 20, VOLUME_FLOATS = 192 << 10 };

void ISA(aimass_conv_rows)(const struct conv_task *t, const float *data, const float *bias,
                           const float *x, const float *res, float *y) {
	struct conv_task part = *t;
	long in = t->c * t->d * t->h * t->w, out = t->oc * t->od * t->oh * t->ow, plane = t->c * layout_of(t).plane;
	int flat = t->d == 1 && t->od == 1;
	long fit = flat ? PADDED_FLOATS / (plane * rows_planes(t, 1) + 1) + 1 : 1, deep = t->od;
	if (!flat && !rows_inside(t)) {
		deep = (VOLUME_FLOATS / (plane + 1) - (t->kd - 1) * t->dd - 1) / t->sd + 1;
		deep = deep < 1 ? 1 : deep < t->od ? deep : t->od;
	}
	for (long i = 0; i < t->n; i += fit) {
		part.n = t->n - i < fit ? t->n - i : fit;
		for (long z = 0; z < t->od; z += deep)
			rows_pass(&part, data, bias, x + i * in, res ? res + i * out : 0, y + i * out, z, t->od - z < deep ? t->od - z : deep);
	}
}
