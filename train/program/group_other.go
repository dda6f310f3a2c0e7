//go:build !linux

package program

import (
	"context"
	"os"

	"github.com/aimass/aimass/internal/child"
)

// Elsewhere than on Linux a program's time alone is limited, and it never rests.
func notifyTurns(chan<- os.Signal) {}

func isPause(os.Signal) bool { return false }

func setResting(*child.Process, bool) {}

func limit(int, *Config) {}

func watch(ctx context.Context, _ int, _ int64, _ context.CancelCauseFunc) { <-ctx.Done() }
