package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/nvml"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/inspect"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/metrics"
)

// useDevice lets the engine use what --device names. With auto a machine without GPUs is
// no error: it is logged, and models run on the CPU. GPUs that are named and aren't there are one.
func useDevice(e *runtime.Engine, device string, cfg gpu.Config, log *slog.Logger) error {
	switch device {
	case "cpu":
		if len(cfg.Devices) > 0 {
			log.Warn("--gpus has no effect: --device is cpu")
		}
		return nil
	case auto, "cuda":
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
	err = divided(err)
	code := api.CodeOf(err)
	level := slog.LevelWarn
	switch {
	case device == "cuda":
		return fmt.Errorf("--device cuda: %w (%s: %s)", err, code, code.Info().Action)
	case code == api.CodeGPUNotFound || code == api.CodeGPUTooOld:
		return fmt.Errorf("--gpus: %w (%s: %s)", err, code, code.Info().Action)
	case len(cfg.Devices) == 0 && (code == api.CodeGPUNotBuilt || code == api.CodeGPUNoDriver):
		level = slog.LevelInfo // nothing is amiss on a machine without GPUs
	}
	log.Log(context.Background(), level, "models run on the CPU", "code", code, "reason", err)
	return nil
}

// divided looks for the cause of there being no device in GPUs that are in MIG mode without
// an instance.
func divided(err error) error {
	if api.CodeOf(err) != api.CodeGPUNoDevice {
		return err
	}
	lib, e := nvml.Open()
	if e != nil {
		return err
	}
	defer lib.Close()
	list, e := lib.GPUs()
	if e != nil {
		return err
	}
	for _, g := range list {
		if g.MIG && len(g.Instances) == 0 {
			return api.Errorf(api.CodeGPUMIG, "%s %s is in MIG mode and has no instance: %w", g.Name, g.UUID, err)
		}
	}
	return err
}

// watchGPUs opens the management library, if the engine has GPUs, and takes those out of
// which it reports a fatal XID, until ctx is done. It gives what the metrics show; nil
// without GPUs.
func watchGPUs(ctx context.Context, d *gpu.Device, fatal []uint64, log *slog.Logger) *metrics.GPUs {
	if d == nil {
		return nil
	}
	m := &metrics.GPUs{Device: d}
	lib, err := nvml.Open()
	if err != nil {
		log.Warn("the GPUs' health is not watched", "reason", err)
		return m
	}
	m.Health = lib.GPUs
	go func() {
		err := lib.Watch(ctx, func(e nvml.Event) {
			log.Warn("XID", "uuid", e.UUID, "xid", e.XID)
			if !slices.Contains(fatal, e.XID) {
				return
			}
			for _, g := range d.GPUs() {
				if strings.EqualFold(g.UUID, e.UUID) {
					d.Lose(g.Index, fmt.Sprintf("XID %d", e.XID))
				}
			}
		})
		if err != nil {
			log.Warn("the GPUs' XID events are not watched", "reason", err)
		}
	}()
	return m
}

// writeGPUs tells how a model would lie on the GPUs, as the configuration beside it asks, and what
// each of its steps is there.
func writeGPUs(w io.Writer, path string, r *inspect.Report) error {
	engine := runtime.NewEngine(runtime.Config{})
	if err := engine.UseGPUs(gpu.Config{}); err != nil {
		fmt.Fprintf(w, "\nno GPUs: %v\n", err)
		return nil
	}
	at, err := configured(path)
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	if at.CPU {
		fmt.Fprintln(w, "\nno GPUs: the configuration keeps the model on the CPU")
		return engine.Close()
	}
	m, err := engine.OpenAt(path, at)
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	var in []tensor.Value
	for i, p := range r.Inputs {
		in = append(in, tensor.New(m.Inputs[i].Type.DType, p.Shape))
	}
	e, err := m.Explain(in)
	if err == nil {
		fmt.Fprintf(w, "\nGPUs: layout %s (%s)\n", e.Layout, e.Reason)
		fmt.Fprintf(w, "  copies on %s; %d phases a run\n", orDash(strings.Join(e.Copies, ", ")), e.Phases)
		for _, d := range e.Devices {
			fmt.Fprintf(w, "  %s %s: %s of weights, %s for values, %d operations a run\n", d.Device, d.Name, bytesText(d.Weights), bytesText(d.Arena), d.Kernels)
		}
		t := newTable(w, "kernels", "nodes")
		for _, s := range e.Steps {
			t.row(s.Kernel, strings.Join(s.Nodes, ", "))
		}
		t.flush()
	}
	return errors.Join(err, m.Close(), engine.Close())
}

// configured is where the config.pbtxt of a repository wants the model at path to run: it lies beside the
// file or beside the version's folder.
func configured(path string) (runtime.Placement, error) {
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		text, err := os.ReadFile(filepath.Join(dir, "config.pbtxt"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return runtime.Placement{}, err
		}
		f, err := config.Parse(text)
		if err != nil {
			return runtime.Placement{}, err
		}
		return f.Placement()
	}
	return runtime.Placement{}, nil
}

// gpuFindings is what the doctor says of the driver and each device.
func gpuFindings() []finding {
	r := finding{What: "CUDA", Status: "ok"}
	drv, err := driver.Open()
	switch {
	case errors.Is(err, driver.ErrNoCUDA), errors.Is(err, driver.ErrNoDriver):
		r.Found, r.Code = err.Error(), string(api.CodeOf(gpu.Coded(err)))
		return []finding{r}
	case err != nil:
		err = divided(gpu.Coded(err))
		r.Status, r.Found, r.Code = "note", err.Error(), string(api.CodeOf(err))
		if errors.Is(err, driver.ErrDriverFailed) {
			r.Status = "wrong"
		}
		r.Hint = api.CodeOf(err).Info().Action + " Until then models run on the CPU."
		return []finding{r}
	}
	r.Found = fmt.Sprintf("the driver offers CUDA %d.%d and %d devices", drv.Version()/1000, drv.Version()%1000/10, len(drv.Devices()))
	if len(drv.Devices()) == 1 {
		r.Found = strings.TrimSuffix(r.Found, "s")
	}
	list := []finding{r}
	health := map[string]nvml.GPU{}
	lib, err := nvml.Open()
	if err == nil {
		defer lib.Close()
		var all []nvml.GPU
		if all, err = lib.GPUs(); err == nil {
			for _, g := range all {
				if g.Lost != "" {
					list = append(list, finding{What: "GPU", Status: "wrong", Code: string(api.CodeGPULost), Found: fmt.Sprintf("NVML device %d: %s", g.Index, g.Lost), Hint: "it needs a reset, or the machine a restart"})
				}
				if g.MIG {
					list = append(list, finding{What: "GPU", Status: "note", Found: fmt.Sprintf("%s %s is in MIG mode: CUDA sees its instances (%s), which have no peer access", g.Name, g.UUID, orDash(strings.Join(g.Instances, ", ")))})
				}
				health[strings.ToLower(g.UUID)] = g
			}
		}
	}
	if err != nil {
		list = append(list, finding{What: "NVML", Status: "note", Found: err.Error(), Hint: "memory, temperature and errors of the GPUs can't be shown"})
	}
	sm := map[int]bool{}
	for _, d := range drv.Devices() {
		sm[d.SM] = true
		list = append(list, gpuFinding(drv, d, health[strings.ToLower(d.UUID)]))
	}
	if len(sm) > 1 {
		list = append(list, finding{What: "GPUs", Status: "note", Found: "the devices differ in compute capability", Hint: "a model split over them runs at the pace of the slowest: name alike ones with --gpus"})
	}
	return list
}

// short is the free memory of a GPU below which the doctor says so.
const short = 256 << 20

func gpuFinding(drv *driver.Driver, d driver.Info, g nvml.GPU) finding {
	r := finding{What: d.String(), Status: "ok", Found: fmt.Sprintf("%s, %s, sm_%d, %s", d.Name, d.UUID, d.SM, bytesText(d.Memory))}
	if g.UUID != "" {
		r.Found += fmt.Sprintf("; %s used, %d %% busy, %d °C, %.0f W", bytesText(g.Used), g.Utilization, g.Temperature, g.Power)
		for _, p := range g.Peers {
			access := "no peer access"
			if p.Access {
				access = "peer access"
			}
			r.Found += fmt.Sprintf("; to %s: %s, %s", p.UUID, access, p.Way)
		}
	}
	if d.SM < driver.MinSM {
		r.Status, r.Code = "note", string(api.CodeGPUTooOld)
		r.Hint = fmt.Sprintf("the kernels need compute capability %d.%d: this device is not used", driver.MinSM/10, driver.MinSM%10)
		return r
	}
	free, err := gpu.Probe(drv, d.Index)
	if err == nil {
		r.Found += fmt.Sprintf("; computes, %s free", bytesText(free))
	}
	switch {
	case err != nil:
		code := api.CodeOf(err)
		r.Status, r.Code, r.Hint = "wrong", string(code), code.Info().Action
		if code == api.CodeGPULost {
			r.Hint = "another process may hold the device alone (nvidia-smi -q -d COMPUTE), or it needs a reset"
		}
		r.Found += "; " + err.Error()
	case free < max(short, d.Memory/10):
		r.Status, r.Code = "note", string(api.CodeGPUOutOfMemory)
		r.Hint = "nvidia-smi lists who holds the memory; models that find no room here go to other devices or to the CPU"
	case g.ECC > 0:
		r.Status, r.Hint = "wrong", fmt.Sprintf("%d memory errors could not be corrected: look at nvidia-smi -q -d ECC, and have the device checked", g.ECC)
	}
	return r
}
