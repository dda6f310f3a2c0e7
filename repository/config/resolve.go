package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Source is what a configuration is resolved from.
type Source struct {
	Model   string // the folder's name
	File    *File  // nil: nothing is written
	Runtime *runtime.Model
	// Read gives a file of the model's folder, for labels; nil: there is none.
	Read func(name string) ([]byte, error)
}

// resolver carries one Resolve.
type resolver struct {
	Source
	c     *Config
	notes []string
	// hidden are inputs and outputs that are not clients', "input" or "output" before the name.
	hidden map[string]bool
}

// Resolve completes a configuration and checks it against the model. The notes are what
// an operator should know: fields that have no effect, batching that isn't proved. An
// error is an api error that names the tensor, what was expected, what is there, and the
// line to fix.
func Resolve(s Source) (c *Config, notes []string, err error) {
	written := s.File
	if s.File == nil {
		s.File = &File{Proto: &inferencepb.ModelConfig{}, isJSON: true}
	}
	r := &resolver{Source: s, c: &Config{file: written}}
	r.c.Proto = proto.Clone(s.File.Proto).(*inferencepb.ModelConfig)
	r.c.Parameters = s.File.parameters()
	r.c.Warmup = r.c.Proto.ModelWarmup
	steps := []func() error{r.identity, r.refused, r.batch, r.sequence, r.inputs, r.outputs, r.queue}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	r.idle()
	return r.c, r.notes, nil
}

func (r *resolver) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// identity fills name, platform, version policy and file.
func (r *resolver) identity() error {
	p := r.c.Proto
	if p.Name != "" && p.Name != r.Model {
		return r.File.invalid("name", "got %q, expected the folder's name %q", p.Name, r.Model)
	}
	p.Name = r.Model
	backend, err := r.File.Backend()
	if err != nil {
		return err
	}
	p.Backend = backend
	if backend == BackendEnsemble {
		p.Platform, p.Backend = BackendEnsemble, ""
		if r.c.Steps, err = r.File.Steps(); err != nil {
			return err
		}
	}
	if backend == BackendONNX {
		p.Platform = PlatformONNX
		if p.DefaultModelFilename, err = r.File.ModelFile(); err != nil {
			return err
		}
	}
	if p.VersionPolicy.GetPolicyChoice() == nil {
		p.VersionPolicy = &inferencepb.ModelVersionPolicy{PolicyChoice: &inferencepb.ModelVersionPolicy_Latest_{Latest: &inferencepb.ModelVersionPolicy_Latest{NumVersions: 1}}}
	}
	return nil
}

// refused turns away what can't be served at all: to ignore it would change answers.
func (r *resolver) refused() error {
	p := r.c.Proto
	switch {
	case p.ModelTransactionPolicy.GetDecoupled():
		return r.File.invalid("model_transaction_policy.decoupled", "got true, expected false: a request has one response")
	case len(p.BatchInput) > 0:
		return r.File.invalid("batch_input", "inputs that the server makes of the batch are not served")
	case len(p.BatchOutput) > 0:
		return r.File.invalid("batch_output", "outputs that the server cuts by the batch are not served")
	}
	return nil
}

// batch decides max_batch_size and whether requests share batches.
func (r *resolver) batch() error {
	c, p, proof := r.c, r.c.Proto, r.Runtime.Batch
	c.BatchReason = proof.Reason
	written := r.File.Has("max_batch_size")
	switch {
	case written:
		if p.MaxBatchSize < 0 {
			return r.File.invalid("max_batch_size", "got %d, expected 0 or more", p.MaxBatchSize)
		}
		c.MaxBatch = int(p.MaxBatchSize)
	case !proof.Rows:
	case r.dimsFit(1):
		c.MaxBatch = DerivedMaxBatch
	case r.dimsFit(0):
		c.BatchReason = "max_batch_size isn't given and the configuration's dims are whole shapes"
	default:
		c.MaxBatch = DerivedMaxBatch
	}
	if p.MaxBatchSize = int32(c.MaxBatch); c.MaxBatch == 0 {
		if written {
			c.BatchReason = "max_batch_size is 0"
		}
		return nil
	}
	for _, in := range r.Runtime.Inputs {
		if !in.Type.Ranked {
			continue
		}
		if s := in.Shape(); len(s) == 0 || s[0] >= 0 {
			return r.File.invalid("max_batch_size", "got %d, expected 0: input '%s' has the shape %v in the model, whose first extent is not open", c.MaxBatch, in.Name, s)
		}
	}
	c.Batched = proof.Rows
	if !proof.Rows && p.GetDynamicBatching() != nil {
		c.Batched = true
		c.BatchReason = "dynamic_batching asks for it"
		r.note("%v: requests are batched although the rows are not proved independent: %s", r.File.At("dynamic_batching"), proof.Reason)
	} else if !proof.Rows && c.Steps == nil {
		r.note("%v: requests keep their own batches, for the rows are not proved independent: %s (dynamic_batching {} batches all the same)", r.File.At("max_batch_size"), proof.Reason)
	}
	if c.Batched && p.SchedulingChoice == nil {
		p.SchedulingChoice = &inferencepb.ModelConfig_DynamicBatching{DynamicBatching: &inferencepb.ModelDynamicBatching{}}
	}
	return nil
}

// dimsFit reports whether all dims that are written fit the model's shapes without their
// first skip extents.
func (r *resolver) dimsFit(skip int) bool {
	fit := func(path, name string, dims []int64, ports []runtime.Port) bool {
		if !r.File.Has(path) {
			return true
		}
		for _, p := range ports {
			if p.Name == name && p.Type.Ranked && len(p.Type.Shape) >= skip {
				return fits(dims, p.Shape()[skip:])
			}
		}
		return true
	}
	for i, in := range r.File.Proto.Input {
		path, dims := fmt.Sprintf("input[%d].dims", i), in.Dims
		if in.Reshape != nil {
			dims = in.Reshape.Shape
		}
		if !fit(path, in.Name, dims, r.Runtime.Inputs) {
			return false
		}
	}
	for i, out := range r.File.Proto.Output {
		path, dims := fmt.Sprintf("output[%d].dims", i), out.Dims
		if out.Reshape != nil {
			dims = out.Reshape.Shape
		}
		if !fit(path, out.Name, dims, r.Runtime.Outputs) {
			return false
		}
	}
	return true
}

// queue reads scheduling, instances and the cache.
func (r *resolver) queue() error {
	c, p := r.c, r.c.Proto
	c.CacheEnabled = p.ResponseCache.GetEnable() && c.Sequence == nil
	for i, g := range p.InstanceGroup {
		path := fmt.Sprintf("instance_group[%d]", i)
		if g.Count < 0 {
			return r.File.invalid(path+".count", "got %d, expected 0 or more", g.Count)
		}
		if g.Kind == inferencepb.ModelInstanceGroup_KIND_GPU && !r.Runtime.OnGPU() {
			r.note("%v: KIND_GPU has no effect, the model runs on the CPU", r.File.At(path+".kind"))
		}
		c.Instances += int(g.Count) * max(len(g.Gpus), 1)
	}
	if c.Instances == 0 {
		c.Instances = r.Runtime.Parallel()
	}
	d := p.GetDynamicBatching()
	if d == nil {
		return nil
	}
	for _, n := range d.PreferredBatchSize {
		if n < 1 || int(n) > c.MaxBatch {
			return r.File.invalid("dynamic_batching.preferred_batch_size", "got %d, expected 1 to max_batch_size, %d", n, c.MaxBatch)
		}
		c.PreferredBatch = append(c.PreferredBatch, int(n))
	}
	slices.Sort(c.PreferredBatch)
	q := d.DefaultQueuePolicy
	for path, v := range map[string]uint64{"max_queue_delay_microseconds": d.MaxQueueDelayMicroseconds, "default_queue_policy.default_timeout_microseconds": q.GetDefaultTimeoutMicroseconds()} {
		if v > math.MaxInt64/1000 {
			return r.File.invalid("dynamic_batching."+path, "got %d, expected at most %d", v, math.MaxInt64/1000)
		}
	}
	c.QueueDelay = time.Duration(d.MaxQueueDelayMicroseconds) * time.Microsecond
	c.Timeout = time.Duration(q.GetDefaultTimeoutMicroseconds()) * time.Microsecond
	c.TimeoutDelays = q.GetTimeoutAction() == inferencepb.ModelQueuePolicy_DELAY
	c.TimeoutOverride = q.GetAllowTimeoutOverride()
	c.MaxQueue = int(q.GetMaxQueueSize())
	c.PreserveOrdering = d.PreserveOrdering
	if d.PriorityLevels > math.MaxInt32 || d.DefaultPriorityLevel > d.PriorityLevels || d.PriorityLevels > 0 && d.DefaultPriorityLevel == 0 {
		return r.File.invalid("dynamic_batching.default_priority_level", "got %d, expected 1 to priority_levels, %d", d.DefaultPriorityLevel, d.PriorityLevels)
	}
	c.PriorityLevels, c.DefaultPriority = int(d.PriorityLevels), int(d.DefaultPriorityLevel)
	return nil
}

// effective lists the fields of a configuration that something acts on; the others are
// kept and answered, and said to have no effect.
var effective = map[protoreflect.Name]bool{
	"name": true, "platform": true, "backend": true, "version_policy": true, "max_batch_size": true, "input": true, "output": true,
	"instance_group": true, "default_model_filename": true, "dynamic_batching": true, "parameters": true, "model_warmup": true,
	"response_cache": true, "model_transaction_policy": true, "ensemble_scheduling": true, "sequence_batching": true,
}

// idle notes the fields without effect.
func (r *resolver) idle() {
	var names []string
	r.File.Proto.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !effective[fd.Name()] {
			names = append(names, r.File.At(string(fd.Name())).String())
		}
		return true
	})
	for i, in := range r.File.Proto.Input {
		if in.AllowRaggedBatch {
			names = append(names, r.File.At(fmt.Sprintf("input[%d].allow_ragged_batch", i)).String())
		}
	}
	if r.c.Steps != nil {
		for _, field := range []string{"instance_group", "model_warmup", "default_model_filename"} {
			if r.File.Has(field) {
				names = append(names, r.File.At(field).String())
			}
		}
	}
	for i, g := range r.File.Proto.InstanceGroup {
		if g.RateLimiter != nil {
			names = append(names, r.File.At(fmt.Sprintf("instance_group[%d].rate_limiter", i)).String())
		}
	}
	for k := range r.c.Parameters {
		if !serverParameters[k] && r.c.Proto.Backend == BackendONNX {
			names = append(names, fmt.Sprintf("%v (key %q)", r.File.At("parameters"), k))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		r.note("fields without effect here: %s", strings.Join(names, "; "))
	}
}
