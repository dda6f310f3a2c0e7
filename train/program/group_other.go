//go:build !linux

package program

import (
	"context"
	"os/exec"
)

// group is a running program; elsewhere than on Linux its time alone is limited.
type group struct{ cmd *exec.Cmd }

func start(cmd *exec.Cmd, _ *Config) (*group, error) {
	return &group{cmd}, cmd.Start()
}

func (g *group) wait() error { return g.cmd.Wait() }

func (g *group) kill() { _ = g.cmd.Process.Kill() }

func (g *group) watch(ctx context.Context, _ int64, _ context.CancelCauseFunc) { <-ctx.Done() }
