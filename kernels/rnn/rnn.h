// What the Go side of rnn calls; see rnn.go.
#ifndef AIMASS_RNN_H
#define AIMASS_RNN_H

#include <stdint.h>

struct rnn_act {
	int32_t func;
	float a, b;
};

struct rnn_task {
	int64_t steps, batch, hidden, y_step, y_row;
	int32_t kind, reverse, input_forget;
	float clip;
	struct rnn_act f, g, h;
};

void aimass_rnn_avx2(const struct rnn_task *t, const float *data, const float *peep, const float *bias,
                     const float *gates, float *h, float *c, float *y, const int32_t *lens);
void aimass_rnn_avx512(const struct rnn_task *t, const float *data, const float *peep, const float *bias,
                       const float *gates, float *h, float *c, float *y, const int32_t *lens);

#endif
