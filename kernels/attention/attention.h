// What the Go side of attention calls; see attention.go.
#ifndef AIMASS_ATTENTION_H
#define AIMASS_ATTENTION_H

#include <stdint.h>

struct attn_strides {
	int64_t seq, token, head;
};

struct attn_task {
	int64_t seqs, heads, kv_heads, qlen, klen, dk, dv;
	struct attn_strides q, k, v, out;
	int64_t bias_seq, bias_head, bias_query, bias_key;
	int64_t window;
	float scale, softcap;
	int32_t causal, threads;
	int32_t blank; // see Blank
};

void aimass_attention_avx2(const struct attn_task *t, float *out, const float *q, const float *k, const float *v,
                           const float *bias, const float *sinks, const int32_t *starts, const int32_t *key_lens);
void aimass_attention_avx512(const struct attn_task *t, float *out, const float *q, const float *k, const float *v,
                             const float *bias, const float *sinks, const int32_t *starts, const int32_t *key_lens);

#endif
