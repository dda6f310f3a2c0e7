// Convolution by its definition for one instruction set, over blocked or dense
// images. A task computes some rows and columns of some blocks of one image.
#include "cell.h"

enum {
	// Floats of weights, and of input, that a task works through at a time:
	// together they stay in the second-level cache.
	WEIGHT_FLOATS = 48 << 10,
	INPUT_FLOATS = 48 << 10,
	MIN_PLACES = 64, // as many share a pass over the weights
};

struct direct_ctx {
	const struct nchwc_task *t;
	const float *data, *bias, *x, *res;
	float *y;
	long v;           // floats of a place of the input: VL, or 1 if dense
	long taps, depth; // of the window; weights of an output channel
	int in_place; // windows lie inside the image and step by one column: nothing is copied
	long rows, cols, row_parts, col_parts, oc_parts; // rows·cols places of an image
	long groups, splits; // of output blocks; of input blocks
};

// The copy of what a task reads, padding made real: [block][segment][row][place].
// A segment holds every sw-th column from its own first one on, so that
// neighbouring places of the result read neighbours. Segments are the sw phases
// of the columns, or, where dilation would make those long, one for each tap.
struct patch {
	long segs, rows, count, plane;
	int by_tap;
};

static struct patch patch_of(const struct direct_ctx *c, long rows, long cols) {
	const struct nchwc_task *t = c->t;
	struct patch p;
	long reach = (t->kw - 1) * t->dw / t->sw;
	p.by_tap = t->kw * cols < t->sw * (cols + reach);
	p.segs = p.by_tap ? t->kw : t->sw;
	p.count = p.by_tap ? cols : cols + reach;
	p.rows = (rows - 1) * t->sh + (t->kh - 1) * t->dh + 1;
	p.plane = p.segs * p.rows * p.count * c->v;
	return p;
}

INLINE long patch_tap(const struct direct_ctx *c, const struct patch *p, long ky, long kx) {
	const struct nchwc_task *t = c->t;
	long x = kx * t->dw, seg = p->by_tap ? kx : x % t->sw, at = p->by_tap ? 0 : x / t->sw;
	return ((seg * p->rows + ky * t->dh) * p->count + at) * c->v;
}

// Places first, first+step, … of a row of w places; outside of it there are zeros.
static void copy_places(float *dst, const float *row, long w, long first, long step, long count, long v) {
	long lo = first < 0 ? (-first + step - 1) / step : 0;
	long hi = first < w ? (w - first + step - 1) / step : 0;
	lo = lo < count ? lo : count;
	hi = hi < lo ? lo : hi < count ? hi : count;
	memset(dst, 0, lo * v * sizeof(float));
	memset(dst + hi * v, 0, (count - hi) * v * sizeof(float));
	const float *src = row + first * v;
	if (step == 1)
		memcpy(dst + lo * v, src + lo * v, (hi - lo) * v * sizeof(float));
	else if (v == 1)
		for (long i = lo; i < hi; i++)
			dst[i] = src[i * step];
	else
		for (long i = lo; i < hi; i++)
			v_store(dst + i * VL, v_load(src + i * step * VL));
}

static void copy_patch(const struct direct_ctx *c, const struct patch *p, float *dst, const float *x, long r0, long o0) {
	const struct nchwc_task *t = c->t;
	for (long b = 0; b < t->c; b++, x += t->h * t->w * c->v)
		for (long s = 0; s < p->segs; s++)
			for (long r = 0; r < p->rows; r++, dst += p->count * c->v) {
				long iy = r0 * t->sh - t->pt + r;
				if (iy < 0 || iy >= t->h)
					memset(dst, 0, p->count * c->v * sizeof(float));
				else
					copy_places(dst, x + iy * t->w * c->v, t->w, o0 * t->sw - t->pl + (p->by_tap ? s * t->dw : s),
					            t->sw, p->count, c->v);
			}
}

// What a task has of the image, and where its source lies.
struct span {
	long img, r0, rows, o0, cols;
	const float *src;
	long row, plane; // floats from output row to row, from block to block
	const long *tap;
};

static void direct_groups(const struct direct_ctx *c, const struct span *s, long g0, long g1) {
	const struct nchwc_task *t = c->t;
	long out = c->rows * c->cols * VL, per_block = c->taps * (t->dense ? 1 : VL);
	for (long split = 0; split < c->splits; split++) {
		long b0 = part_start(t->c, c->splits, split), b1 = part_start(t->c, c->splits, split + 1);
		int last = split == c->splits - 1;
		for (long g = g0; g < g1; g++) {
			long f0 = part_start(t->oc, c->groups, g), f = part_start(t->oc, c->groups, g + 1) - f0;
			const float *w = c->data + f0 * VL * c->depth + b0 * per_block * f * VL;
			struct cell cell = {b1 - b0, c->taps, s->tap, s->plane, out, split ? 0 : c->bias + f0 * VL, 0, last && t->act == 1};
			if (t->dense)
				cell.taps *= t->c;
			cell_fn *const *fns = t->dense ? narrows[f] : cells[f];
			long tiles = parts_of(s->cols, pmax[f]);
			for (long r = 0; r < s->rows; r++) {
				long at = ((s->img * t->oc + f0) * c->rows + s->r0 + r) * c->cols * VL + s->o0 * VL;
				const float *in = s->src + b0 * s->plane + r * s->row;
				for (long i = 0; i < tiles; i++) {
					long p0 = part_start(s->cols, tiles, i), p = part_start(s->cols, tiles, i + 1) - p0;
					float *y = c->y + at + p0 * VL;
					const float *res = c->res && last ? c->res + at + p0 * VL : 0;
					cell.res = t->after ? 0 : res;
					fns[p](&cell, in + p0 * c->v, w, y);
					if (last)
						finish_cell(t, out, p, f, res, y);
				}
			}
		}
	}
}

static void direct_task(void *arg, int task) {
	const struct direct_ctx *c = arg;
	const struct nchwc_task *t = c->t;
	long part = task % c->oc_parts, q = task / c->oc_parts;
	long cp = q % c->col_parts, rp = q / c->col_parts % c->row_parts;
	long g0 = part_start(c->groups, c->oc_parts, part), g1 = part_start(c->groups, c->oc_parts, part + 1);
	struct span s = {.img = q / c->col_parts / c->row_parts, .r0 = part_start(c->rows, c->row_parts, rp), .o0 = part_start(c->cols, c->col_parts, cp)};
	s.rows = part_start(c->rows, c->row_parts, rp + 1) - s.r0;
	s.cols = part_start(c->cols, c->col_parts, cp + 1) - s.o0;
	const float *x = c->x + s.img * t->c * t->h * t->w * c->v;
	struct patch p = patch_of(c, s.rows, s.cols);
	if (c->in_place)
		p = (struct patch){1, t->h, t->w, t->h * t->w * VL, 0};
	long all = c->taps * (t->dense ? t->c : 1);
	size_t bytes = (c->in_place ? 0 : (t->c * p.plane + VL) * sizeof(float)) + all * sizeof(long);
	int slot;
	long *tap = aimass_scratch_get(bytes, &slot);
	float *copy = (float *)(tap + all);
	for (long q = 0; q < all; q++)
		tap[q] = q / c->taps * p.plane + patch_tap(c, &p, q % c->taps / t->kw, q % t->kw);
	s.plane = p.plane;
	s.row = t->sh * p.count * c->v;
	s.tap = tap;
	if (c->in_place) {
		s.src = x + s.r0 * s.row + s.o0 * VL;
	} else {
		copy_patch(c, &p, copy, x, s.r0, s.o0);
		s.src = copy;
	}
	direct_groups(c, &s, g0, g1);
	aimass_scratch_put(tap, bytes, slot);
}

// As many parts, or a few more, so that threads get as many each: one part too many keeps one of two threads waiting for a ninth of
// nine. Many parts come out even by themselves.
INLINE long even_parts(long parts, long most, int threads) {
	long even = parts_of(parts, threads) * threads;
	return parts > 1 && parts < 16 * threads && even <= most ? even : parts;
}

// How an image is cut into tasks.
static void direct_cut(struct direct_ctx *c, int threads) {
	const struct nchwc_task *t = c->t;
	long each = t->c * c->v; // floats of an input place
	c->splits = t->dense ? 1 : parts_of(c->depth * FMAX * VL, WEIGHT_FLOATS);
	c->splits = c->splits < t->c ? c->splits : t->c;
	each = c->in_place ? each / c->splits : each * t->sh * t->sw;
	long places = INPUT_FLOATS / (each + 1);
	places = places > MIN_PLACES ? places : MIN_PLACES;
	c->col_parts = c->cols > 2 * places ? parts_of(c->cols, places) : 1;
	long rows = places / c->cols;
	c->row_parts = parts_of(c->rows, rows > 1 ? rows : 1);
	if (t->n % threads && c->row_parts == 1)
		c->col_parts = even_parts(c->col_parts, c->cols, threads);
	else if (t->n % threads && c->col_parts == 1)
		c->row_parts = even_parts(c->row_parts, c->rows, threads);
	c->oc_parts = 1;
	long tasks = t->n * c->row_parts * c->col_parts, want = 4 * threads;
	if (threads == 1 || tasks >= want)
		return;
	if (!c->in_place && c->row_parts < c->rows) {
		long more = (want + tasks - 1) / tasks * c->row_parts;
		c->row_parts = more < c->rows ? more : c->rows;
		tasks = t->n * c->row_parts * c->col_parts;
	}
	if (tasks < want) {
		c->oc_parts = (want + tasks - 1) / tasks;
		c->oc_parts = c->oc_parts < c->groups ? c->oc_parts : c->groups;
		tasks *= c->oc_parts;
	}
	if (tasks < want && c->in_place) {
		long more = (want + tasks - 1) / tasks * c->col_parts, most = parts_of(c->cols, 2 * pmax[1]);
		c->col_parts = more < most ? more : most;
	}
}

NCHWC_CONV(ISA(aimass_nchwc_direct)) {
	struct direct_ctx c = {.t = t, .data = data, .bias = bias, .x = x, .res = res, .y = y, .rows = t->oh, .cols = t->ow};
	c.v = t->dense ? 1 : VL;
	c.taps = t->kh * t->kw;
	c.depth = t->c * c.v * c.taps;
	c.groups = parts_of(t->oc, FMAX);
	c.in_place = !t->dense && t->sw == 1 && t->pt == 0 && t->pl == 0 &&
	             (t->oh - 1) * t->sh + (t->kh - 1) * t->dh < t->h && t->ow - 1 + (t->kw - 1) * t->dw < t->w;
	if (c.in_place && c.taps == 1 && t->sh == 1 && t->oh == t->h && t->ow == t->w) {
		c.rows = 1;
		c.cols = t->oh * t->ow;
	}
	int threads = (double)t->n * t->oh * t->ow * t->oc * VL * c.depth < 4e5 ? 1 : t->threads;
	direct_cut(&c, threads);
	aimass_pool_run(direct_task, &c, (int)(t->n * c.row_parts * c.col_parts * c.oc_parts), threads);
}
