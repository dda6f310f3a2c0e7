package gpu

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// Config sets the device up.
type Config struct {
	// Devices names the GPUs to use, by the driver's number or by UUID; empty means all.
	// Example: ["0", "GPU-1b2c…"].
	Devices []string
	// Lanes is the number of batches that a GPU takes at once: while one computes another
	// copies. Default 2.
	Lanes int
	// MaxPlans bounds the plans kept per copy of a program. Default 64.
	MaxPlans int
	// MaxBytes bounds one value. Default ops.DefaultMaxBytes.
	MaxBytes int
	// NoHost is Options.NoHost for every program.
	NoHost bool
	// Log hears of devices that are taken out and of work that falls back. Default: nobody.
	Log *slog.Logger
}

// Options say how one program is placed.
type Options struct {
	// Devices are places in the list of Config.Devices; empty means all.
	Devices []int
	// Layout is how the model lies on the devices; Width the number of devices of one copy
	// in Stages and Split, 0 for all.
	Layout Layout
	Width  int
	// NoHost refuses to run on the host what the devices can't hold or have failed to
	// compute. Operators without a kernel run there in any case.
	NoHost bool
	// TF32 lets products of float32 round their operands to 10 bits of mantissa, which the tensor
	// cores take. Off by default.
	TF32 bool
}

// Device is all GPUs that the configuration names, as one device.
type Device struct {
	cfg   Config
	reg   *ops.Registry
	host  device.Device
	drv   *driver.Driver
	gpus  []*gpu
	log   *slog.Logger
	epoch atomic.Uint64 // counts devices that were taken out
	stats stats
}

// stats count what an operator of the server should see.
type stats struct{ retries, fallbacks, lost atomic.Uint64 }

// Stats are counts since the start.
type Stats struct {
	Retries   uint64 // batches run a second time after a device had failed
	Fallbacks uint64 // batches that the host ran instead
	Lost      uint64 // devices taken out
}

// New opens the driver. host runs what the GPUs don't take. The error is one of the
// driver's, or names a device that the configuration asks for and isn't there.
func New(reg *ops.Registry, host device.Device, cfg Config) (*Device, error) {
	drv, err := driver.Open()
	if err != nil {
		return nil, Coded(err)
	}
	if cfg.Lanes <= 0 {
		cfg.Lanes = 2
	}
	if cfg.MaxPlans <= 0 {
		cfg.MaxPlans = 64
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = ops.DefaultMaxBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Device{cfg: cfg, reg: reg, host: host, drv: drv, log: cfg.Log}
	list, err := choose(drv.Devices(), cfg.Devices)
	if err != nil {
		return nil, err
	}
	for _, info := range list {
		if info.SM < driver.MinSM {
			if len(cfg.Devices) > 0 {
				return nil, Coded(tooOld(info))
			}
			d.log.Warn("GPU left out", "device", info.String(), "name", info.Name, "reason", tooOld(info))
			continue
		}
		d.gpus = append(d.gpus, &gpu{info: info, drv: drv})
	}
	if len(d.gpus) == 0 {
		return nil, Coded(fmt.Errorf("%w: %v", driver.ErrNoDevice, tooOld(list[0])))
	}
	return d, nil
}

func tooOld(i driver.Info) error {
	return fmt.Errorf("%w: %v (%s) has %d.%d, the kernels need %d.%d", errTooOld, i, i.Name, i.SM/10, i.SM%10, driver.MinSM/10, driver.MinSM%10)
}

// choose finds the devices that names ask for, in the driver's order: instances take
// locks in that order.
func choose(all []driver.Info, names []string) ([]driver.Info, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []driver.Info
	for _, i := range all {
		if slices.ContainsFunc(names, func(n string) bool { return matches(i, n) }) {
			out = append(out, i)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(i driver.Info) bool { return matches(i, n) }) {
			var have []string
			for _, i := range all {
				have = append(have, fmt.Sprintf("%d (%s)", i.Index, i.UUID))
			}
			return nil, api.Errorf(api.CodeGPUNotFound, "there is no GPU %q: the driver offers %s", n, strings.Join(have, ", "))
		}
	}
	return out, nil
}

func matches(i driver.Info, name string) bool {
	return name == strconv.Itoa(i.Index) || name == i.String() || strings.EqualFold(bare(name), bare(i.UUID))
}

// bare is a UUID without what stands in front of it: the driver does not tell an instance (MIG-…)
// from a device (GPU-…).
func bare(uuid string) string {
	return strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(uuid), "GPU-"), "MIG-")
}

// Info describes the devices as one.
func (d *Device) Info() device.Info {
	info := device.Info{Name: "cuda", Kind: "cuda", Threads: d.cfg.Lanes * len(d.gpus)}
	for _, g := range d.gpus {
		info.Memory += g.info.Memory
		info.ISA = fmt.Sprintf("sm_%d", g.info.SM)
	}
	return info
}

// GPU is the state of one device.
type GPU struct {
	driver.Info
	Bytes int64  // taken by programs
	Lost  string // why it was taken out, empty if it was not
}

// GPUs lists the devices.
func (d *Device) GPUs() []GPU {
	var out []GPU
	for _, g := range d.gpus {
		x := GPU{Info: g.info}
		g.mu.Lock()
		if g.ctx != nil {
			x.Bytes = g.ctx.Bytes()
		}
		g.mu.Unlock()
		if why := g.lost.Load(); why != nil {
			x.Lost = *why
		}
		out = append(out, x)
	}
	return out
}

// Stats tells what has happened since the start.
func (d *Device) Stats() Stats {
	return Stats{d.stats.retries.Load(), d.stats.fallbacks.Load(), d.stats.lost.Load()}
}

// Supports reports whether there are kernels for the node's operator.
func (d *Device) Supports(n *graph.Node) bool { return Supports(n.OpName()) }

// Compile places the graph as Options{} says.
func (d *Device) Compile(g *graph.Graph) (device.Program, error) { return d.CompileFor(g, Options{}) }

// CompileFor places the graph. Constants are uploaded when shapes are seen.
func (d *Device) CompileFor(g *graph.Graph, o Options) (device.Program, error) {
	for _, i := range o.Devices {
		if i < 0 || i >= len(d.gpus) {
			return nil, api.Errorf(api.CodeGPUNotFound, "there is no GPU %d: the server uses %d, counted from 0", i, len(d.gpus))
		}
	}
	most := len(d.gpus)
	if len(o.Devices) > 0 {
		most = len(o.Devices)
	}
	if o.Width > most {
		return nil, api.Errorf(api.CodeGPUNotFound, "the model is to lie on %d GPUs, and may use %d", o.Width, most)
	}
	o.NoHost = o.NoHost || d.cfg.NoHost
	m, err := newModel(g, d.reg)
	if err != nil {
		return nil, err
	}
	p := &program{dev: d, opt: o, m: m, derived: newDerived()}
	p.note()
	if err := p.settle(0); err != nil {
		return nil, errors.Join(Coded(err), p.Close())
	}
	return p, nil
}

// Lose takes a device out: by the number that the driver gives it. Programs place their
// weights again.
func (d *Device) Lose(index int, why string) {
	for _, g := range d.gpus {
		if g.info.Index == index && g.lose(why) {
			d.stats.lost.Add(1)
			d.epoch.Add(1)
			d.log.Error("GPU taken out", "device", g.info.String(), "uuid", g.info.UUID, "reason", why)
		}
	}
}

// blame takes out the device that an error says is of no more use: its context is
// poisoned, or it refuses the kernels.
func (d *Device) blame(err error) {
	if !driver.Sticky(err) && !errors.Is(err, driver.ErrKernelsRefused) {
		return
	}
	var e *driver.Error
	if errors.As(err, &e) {
		for _, g := range d.gpus {
			if g.info.String() == e.Device {
				d.Lose(g.info.Index, err.Error())
			}
		}
	}
}

// Close frees the contexts; programs must be closed before.
func (d *Device) Close() error {
	var err error
	for _, g := range d.gpus {
		err = errors.Join(err, g.drop())
	}
	return err
}
