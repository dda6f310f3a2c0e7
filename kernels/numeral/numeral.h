// What the Go side of numeral calls; see numeral.go.
#ifndef AIMASS_NUMERAL_H
#define AIMASS_NUMERAL_H

#include <stdint.h>

// pow10[q] is the power of ten for q of Go's Powers.
int64_t aimass_numeral_read_f32(const char *text, int64_t size, int64_t *at, char *dst, int64_t n, const uint64_t *pow10);
int64_t aimass_numeral_write_f32(char *dst, int64_t *size, const char *src, int64_t n, const uint64_t *pow10);

#endif
