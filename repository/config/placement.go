package config

import (
	"slices"
	"strconv"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
)

// The parameters that say how a model lies on GPUs (docs/gpu.md).
const (
	layoutParameter = "gpu_layout"       // auto, whole, stages or split
	widthParameter  = "gpu_width"        // devices of one copy, in stages and split
	hostParameter   = "gpu_cpu_fallback" // false: an error instead of the CPU
	tf32Parameter   = "gpu_tf32"         // true: products of float32 round their operands to 10 bits of mantissa
)

// Placement is where the configuration wants the model to run: instance_group of
// KIND_CPU keeps it off the GPUs, KIND_GPU with gpus names some.
func (f *File) Placement() (runtime.Placement, error) {
	var at runtime.Placement
	if f == nil {
		return at, nil
	}
	onCPU, onGPU := false, false
	for i, g := range f.Proto.InstanceGroup {
		switch g.Kind {
		case inferencepb.ModelInstanceGroup_KIND_CPU:
			onCPU = true
		case inferencepb.ModelInstanceGroup_KIND_GPU:
			onGPU = true
		}
		for _, d := range g.Gpus {
			if d < 0 {
				return at, f.invalid("instance_group["+strconv.Itoa(i)+"].gpus", "got %d, expected a GPU's number from 0", d)
			}
			if !slices.Contains(at.GPU.Devices, int(d)) {
				at.GPU.Devices = append(at.GPU.Devices, int(d))
			}
		}
	}
	at.CPU = onCPU && !onGPU
	p := f.parameters()
	var err error
	if v := p[layoutParameter]; v != "" {
		if at.GPU.Layout, err = gpu.ParseLayout(v); err != nil {
			return at, f.invalid("parameters", "key %q: %v", layoutParameter, err)
		}
	}
	if v := p[widthParameter]; v != "" {
		if at.GPU.Width, err = strconv.Atoi(v); err != nil || at.GPU.Width < 0 {
			return at, f.invalid("parameters", "key %q: got %q, expected a number of devices", widthParameter, v)
		}
	}
	if v := p[hostParameter]; v != "" {
		allowed, err := strconv.ParseBool(v)
		if err != nil {
			return at, f.invalid("parameters", "key %q: got %q, expected true or false", hostParameter, v)
		}
		at.GPU.NoHost = !allowed
	}
	if v := p[tf32Parameter]; v != "" {
		if at.GPU.TF32, err = strconv.ParseBool(v); err != nil {
			return at, f.invalid("parameters", "key %q: got %q, expected true or false", tf32Parameter, v)
		}
	}
	return at, nil
}
