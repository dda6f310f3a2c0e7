// Attention for one instruction set: a block of query rows against all keys of
// a sequence and head, by the register tiles of kernels/gemm.
#include "attention.h"
#include "pack.h"
#include "pool.h"
#include "vmath.h"

enum {
	// Fewer queries than this do not repay packing the keys.
	PACK_QUERIES = 4,
	// Floats between the first and the last key of a sequence from which on heads are fetched ahead; less stays in a core's own caches.
	FAR = 32 * 1024,
	// Blank in attention.go.
	BLANK_UNSEEN = 1,
	BLANK_NAN = 2,
};

struct ctx {
	const struct attn_task *t;
	float *out;
	const float *q, *k, *v, *bias, *sinks;
	const int32_t *starts, *key_lens;
	long parts;  // of each head's queries, a task each
	long shares; // if not 0, tasks are shares of all heads instead
};

// One head of one sequence.
struct head {
	const struct attn_task *t;
	float *out;
	const float *q, *k, *v, *bias, *sink;
	long nq, nk, keys; // keys: how many count, of nk
	int next, next_kv; // whether the next head's queries, and its keys and values, will be needed
};

// A part of the rows of one head comes into the second-level cache. Heads lie side by side, so that a row of one is a few lines
// far from the next row, which the hardware doesn't foresee.
INLINE void fetch_part(const float *p, long token, long width, long rows, long part, long parts) {
	p += rows * part / parts * token;
	for (long r = rows * (part + 1) / parts - rows * part / parts; r > 0; r--, p += token)
		for (long at = 0; at < width; at += 16)
			__builtin_prefetch(p + at, 0, 2);
}

static long visible(const struct head *h, long i) {
	long n = h->t->causal ? i + h->nk - h->nq + 1 : h->keys;
	n = n < h->keys ? n : h->keys;
	return n > 0 ? n : 0;
}

// The first key that query i sees.
static long first_seen(const struct head *h, long i) {
	long n = h->t->window ? i + h->nk - h->nq + 1 - h->t->window : 0;
	return n > 0 ? n : 0;
}

// A score from a product: scaled, capped, with what is added.
INLINE vf score(const struct attn_task *t, vf x, vf add) {
	if (t->softcap == 0)
		return v_fma(v_set(t->scale), x, add);
	vf y = v_tanh(v_mul(x, v_set(t->scale / t->softcap)));
	return v_fma(v_set(t->softcap), y, add);
}

// The products s[from..n) of one row become exponentials; gives 1/Σ. Values before and behind them, from begin up
// to end, become 0, and so do all of a blank row.
static float soften(const struct head *h, float *s, long i, long begin, long from, long n, long end) {
	const struct attn_task *t = h->t;
	vf top = v_set(h->sink ? *h->sink : -INFINITY), sum = v_zero(), same = v_zero();
	const float *bias = h->bias ? h->bias + i * t->bias_query + from * t->bias_key : 0;
	for (long j = begin; j < from; j++)
		s[j] = 0;
	for (long j = n; j < end; j++)
		s[j] = 0;
	s += from;
	n -= from;
	long whole = n / VL * VL, j;
	vm rest = v_first(n - whole);
	if (bias && !t->bias_key) {
		same = v_set(*bias);
		bias = 0;
	}
	for (j = 0; j < whole; j += VL) {
		vf x = score(t, v_load(s + j), bias ? v_load(bias + j) : same);
		v_store(s + j, x);
		top = v_max(top, x);
	}
	if (j < n) {
		vf x = v_sel(rest, score(t, v_load(s + j), bias ? v_loadm(rest, bias + j) : same), v_set(-INFINITY));
		v_storem(rest, s + j, x);
		top = v_max(top, x);
	}
	float most = v_hmax(top);
	vf log2e = v_set(1.44269504f), mv = v_set(most);
	for (j = 0; j < whole; j += VL) {
		vf e = v_exp2neg(v_mul(v_sub(v_load(s + j), mv), log2e));
		v_store(s + j, e);
		sum = v_add(sum, e);
	}
	if (j < n) {
		vf e = v_sel(rest, v_exp2neg(v_mul(v_sub(v_loadm(rest, s + j), mv), log2e)), v_zero());
		v_storem(rest, s + j, e);
		sum = v_add(sum, e);
	}
	float total = v_hsum(sum);
	if (h->sink)
		total += v_hmax(v_exp2neg(v_mul(v_set(*h->sink - most), log2e)));
	if ((t->blank == BLANK_UNSEEN && most == -INFINITY) || (t->blank == BLANK_NAN && isnan(total))) {
		memset(s, 0, n * sizeof(float));
		return 0;
	}
	return 1 / total;
}

// Scores of one query by dot products with the keys in place.
static void dot_keys(const struct head *h, const float *q, float *s, long n) {
	long d = h->t->dk, step = h->t->k.token;
	vm rest = v_first(d % VL);
	for (long j = 0; j < n; j += 4) {
		const float *k[4];
		vf acc[4];
		UNROLL(4) for (int r = 0; r < 4; r++) {
			k[r] = h->k + (j + r < n ? j + r : j) * step;
			acc[r] = v_zero();
		}
		long p = 0;
		for (; p + VL <= d; p += VL) {
			vf x = v_load(q + p);
			UNROLL(4) for (int r = 0; r < 4; r++)
				acc[r] = v_fma(x, v_load(k[r] + p), acc[r]);
		}
		if (p < d) {
			vf x = v_loadm(rest, q + p);
			UNROLL(4) for (int r = 0; r < 4; r++)
				acc[r] = v_fma(x, v_loadm(rest, k[r] + p), acc[r]);
		}
		for (int r = 0; r < 4; r++)
			s[j + r] = v_hsum(acc[r]);
	}
}

// Rows i..i+mr of the result from their exponentials of keys begin to n. vp is the padded last
// panel of v if dv is no multiple of NR.
static void times_values(const struct head *h, const float *s, long ls, const float *inv, const float *vp,
                         long i, long mr, long begin, long n) {
	const struct attn_task *t = h->t;
	s += begin;
	n -= begin;
	float edge[MRMAX * NR] __attribute__((aligned(64)));
	for (long j = 0; j < t->dv; j += NR) {
		long cols = t->dv - j < NR ? t->dv - j : NR;
		if (cols == NR)
			direct_tile[mr](n, s, ls, h->v + begin * t->v.token + j, t->v.token, 0, edge, NR, 0);
		else
			direct_tile[mr](n, s, ls, vp + begin * NR, NR, 0, edge, NR, 0);
		for (long r = 0; r < mr; r++) {
			float *o = h->out + (i + r) * t->out.token + j, *e = edge + r * NR;
			vf k = v_set(inv[r]);
			if (cols == NR) {
				v_store(o, v_mul(k, v_load(e)));
				v_store(o + VL, v_mul(k, v_load(e + VL)));
				continue;
			}
			for (long c = 0; c < cols; c += VL)
				v_storen(o + c, v_mul(k, v_load(e + c)), cols - c < VL ? cols - c : VL);
		}
	}
}

// Queries i0..i1 of a head.
static void queries(struct head *h, long i0, long i1) {
	const struct attn_task *t = h->t;
	long hidden = first_seen(h, i0); // from all of them
	h->k += hidden * t->k.token;
	h->v += hidden * t->v.token;
	h->bias += h->bias ? hidden * t->bias_key : 0;
	h->nk -= hidden;
	h->keys -= hidden;
	long most = visible(h, i1 - 1), panels = (most + NR - 1) / NR, tail = t->dv % NR;
	int packed = i1 - i0 >= PACK_QUERIES;
	// An odd number of cache lines a row keeps rows out of each other's sets.
	long ls = panels * NR + 16;
	size_t fs = MRMAX * ls, fk = packed ? panels * NR * t->dk : 0, fv = tail ? most * NR : 0;
	size_t bytes = (fs + fk + fv + 64) * sizeof(float);
	int slot;
	float *s = aimass_scratch_get(bytes, &slot), *kp = s + fs, *vp = kp + fk;
	for (long j = 0; packed && j < most; j += NR)
		pack_b_panel_trans(kp + j * t->dk, h->k + j * t->k.token, t->k.token, most - j < NR ? most - j : NR, t->dk);
	if (tail)
		pack_b_panel(vp, h->v + (t->dv - tail), t->v.token, tail, most);
	long tiles = tiles_of(i1 - i0);
	for (long b = 0; b < tiles; b++) {
		long i = i0 + tile_start(i1 - i0, tiles, b), mr = i0 + tile_start(i1 - i0, tiles, b + 1) - i;
		long n = visible(h, i + mr - 1), begin = first_seen(h, i) / NR * NR;
		begin = begin < n ? begin : n;
		if (h->next)
			fetch_part(h->q + i0 * t->q.token + t->q.head, t->q.token, t->dk, i1 - i0, b, tiles);
		if (h->next_kv) {
			fetch_part(h->k + t->k.head, t->k.token, t->dk, most, b, tiles);
			fetch_part(h->v + t->v.head, t->v.token, t->dv, most, b, tiles);
		}
		float inv[MRMAX];
		for (long j = begin; packed && j < n; j += NR)
			direct_tile[mr](t->dk, h->q + i * t->q.token, t->q.token, kp + j * t->dk, NR, 0, s + j, ls, 0);
		for (long r = 0; r < mr; r++) {
			long seen = visible(h, i + r), from = first_seen(h, i + r);
			if (!packed)
				dot_keys(h, h->q + (i + r) * t->q.token, s + r * ls, seen);
			inv[r] = seen > from ? soften(h, s + r * ls, i + r, begin, from, seen, n) : 0;
			if (seen <= from)
				memset(s + r * ls + begin, 0, (n - begin) * sizeof(float));
		}
		times_values(h, s, ls, inv, vp, i, mr, begin, n);
	}
	aimass_scratch_put(s, bytes, slot);
}

// Part of the queries of one head of one sequence.
static void attn_unit(const struct ctx *c, long unit, long part) {
	const struct attn_task *t = c->t;
	long head = unit % t->heads, seq = unit / t->heads;
	long kv = head * t->kv_heads / t->heads;
	struct head h = {.t = t, .nq = t->qlen, .nk = t->klen};
	h.q = c->q + head * t->q.head;
	h.k = c->k + kv * t->k.head;
	h.v = c->v + kv * t->v.head;
	h.out = c->out + head * t->out.head;
	h.bias = c->bias ? c->bias + seq * t->bias_seq + head * t->bias_head : 0;
	h.sink = c->sinks ? c->sinks + head : 0;
	if (c->starts) {
		long at = c->starts[seq];
		h.nq = h.nk = c->starts[seq + 1] - at;
		h.q += at * t->q.token;
		h.k += at * t->k.token;
		h.v += at * t->v.token;
		h.out += at * t->out.token;
	} else {
		h.q += seq * t->q.seq;
		h.k += seq * t->k.seq;
		h.v += seq * t->v.seq;
		h.out += seq * t->out.seq;
	}
	h.keys = c->key_lens ? c->key_lens[seq] : h.nk;
	h.next = c->parts == 1 && head + 1 < t->heads && h.nk * t->k.token >= FAR;
	h.next_kv = h.next && (head + 1) * t->kv_heads / t->heads != kv;
	long i0 = h.nq * part / c->parts, i1 = h.nq * (part + 1) / c->parts;
	if (i0 < i1)
		queries(&h, i0, i1);
}

static void attn_task(void *arg, int task) {
	const struct ctx *c = arg;
	if (!c->shares) {
		attn_unit(c, task / c->parts, task % c->parts);
		return;
	}
	long units = c->t->seqs * c->t->heads;
	for (long u = units * task / c->shares, end = units * (task + 1) / c->shares; u < end; u++)
		attn_unit(c, u, 0);
}

void ISA(aimass_attention)(const struct attn_task *t, float *out, const float *q, const float *k, const float *v,
                           const float *bias, const float *sinks, const int32_t *starts, const int32_t *key_lens) {
	struct ctx c = {t, out, q, k, v, bias, sinks, starts, key_lens, 1, 0};
	long units = t->seqs * t->heads, threads = t->threads;
	double tokens = starts ? starts[t->seqs] : (double)t->seqs * t->qlen;
	double keys = starts ? tokens / t->seqs : t->klen;
	if (tokens * keys * t->heads * (t->dk + t->dv) < 1e5)
		threads = 1;
	if (threads > 1 && units < 2 * threads)
		c.parts = 2 * threads;
	else if (!starts && (units % threads == 0 || units >= 16 * threads))
		c.shares = threads; // what a core's share of the products before has left in its caches
	aimass_pool_run(attn_task, &c, (int)(c.shares ? c.shares : units * c.parts), (int)threads);
}
