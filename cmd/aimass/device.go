package main

import (
	"fmt"
	"log/slog"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
)

// useDevice lets the engine use what --device names. With auto a machine without GPUs is
// no error: it is logged, and models run on the CPU.
func useDevice(e *runtime.Engine, device string, cfg gpu.Config, log *slog.Logger) error {
	switch device {
	case "cpu":
		return nil
	case "auto", "cuda":
	default:
		return fmt.Errorf("device %q is unknown: expected auto, cpu or cuda", device)
	}
	cfg.Log = log
	err := e.UseGPUs(cfg)
	if err == nil {
		for _, g := range e.GPUs().GPUs() {
			log.Info("GPU", "device", g.String(), "name", g.Name, "uuid", g.UUID, "sm", g.SM, "memory", g.Memory)
		}
		return nil
	}
	if device == "cuda" {
		return fmt.Errorf("--device cuda: %w", err)
	}
	log.Info("models run on the CPU", "reason", err)
	return nil
}
