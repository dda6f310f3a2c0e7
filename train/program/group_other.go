//go:build !linux

package program

import "context"

// Elsewhere than on Linux a program's time alone is limited.
func limit(int, *Config) {}

func watch(ctx context.Context, _ int, _ int64, _ context.CancelCauseFunc) { <-ctx.Done() }
