package pipeline

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/train/features"
)

// Port is an input or output as clients see it.
type Port struct {
	Name  string
	DType tensor.DType
	// Shape has −1 for what a request decides; nil where the model declares no rank.
	Shape []int64
	// Reshape, if not nil, is the shape that the model itself takes or gives, the batch
	// axis left out: as many elements as Shape.
	Reshape []int64
	// Optional inputs that a request leaves out are zeros, false or empty strings; their
	// extents but the batch's are fixed.
	Optional bool
	// Labels name the classes of an output, by index.
	Labels []string
	// Hidden ports are not clients': the state and controls of sequences.
	Hidden bool
}

// Spec describes a version to serve.
type Spec struct {
	Model   string
	Version int64
	Runtime *runtime.Model
	// Inputs and Outputs describe the tensors in the model's order; nil means as the
	// model declares them.
	Inputs, Outputs []Port
	// MaxBatch > 0 says that axis 0 of every tensor is the batch and bounds a request's
	// rows; 0 that shapes are whole.
	MaxBatch int
	// Alone keeps requests from sharing a batch though they have a batch axis.
	Alone bool
	// Cached turns the prediction cache on.
	Cached bool
	// RejectNaN makes the server refuse inputs that hold NaN or an infinity.
	RejectNaN bool
	// Check, if not nil, looks at each input's values before the request is queued; its
	// error is the request's.
	Check Check
	// Features, if not nil, checks inputs against what the model was trained on and counts how
	// far they have drifted.
	Features *features.Monitor
	// Timeout, if not zero, is that of requests that bring no deadline, counted from their arrival.
	Timeout time.Duration
	Batcher batcher.Config
	// Digest is equal for equal models in all processes: their answers may be shared. Empty:
	// they may not.
	Digest string
	// Config, if it has Steps, makes the version an ensemble of them; its Sequence says what
	// the version keeps between requests.
	Config *config.Config
}

// Check refuses values that a model would take and answer nonsense to, by the input's
// name. Type and shape have been checked. It must be safe for concurrent use.
type Check func(input string, t *tensor.Tensor) error

// Served is a model version that answers requests.
type Served struct {
	Spec
	VersionText string
	Stats       Stats
	reshapes    bool
	sequences   *sequences       // nil: it keeps no state
	next        cache.Next       // what answers where the cache doesn't: batcher, or an ensemble
	batcher     *batcher.Batcher // nil of an ensemble
	queue       batcher.Stats    // of an ensemble, which has no queue: zeros
	cache       *cache.Cache
	generation  atomic.Uint64
	identity    string
	refs        atomic.Int64
	retired     atomic.Bool
	// shadow, if not nil, gets copies of a share of the requests.
	shadow atomic.Pointer[Shadow]
	idle   chan struct{}
}

// Call is one request to a Served, to be reused. Fill the exported fields of
// batcher.Request (In by position, Deadline, Priority, Tenant) and those here.
type Call struct {
	batcher.Request
	// Sequence is the request's place in a sequence, for a version that keeps state.
	Sequence Sequence
	// Extra spells the requested outputs and parameters, as part of the cache's key.
	Extra []byte
	// Mirrored, if not nil, is told how the answer compares with a shadow's, long after Infer.
	Mirrored ShadowObserver
	// Outcome says after Infer whether the model ran for this request.
	Outcome Outcome

	// copied marks a request to a shadow: the states of its sequences are kept apart.
	copied bool
	// place is the request's among those of its sequence that were answered, from 1 on; set by Infer.
	place int
}

// Outcome says how a request was answered.
type Outcome uint8

// The outcomes.
const (
	Ran Outcome = iota
	FromCache
)

func newServed(s Spec, c *cache.Cache, e *ensemble) *Served {
	v := &Served{Spec: s, VersionText: strconv.FormatInt(s.Version, 10), idle: make(chan struct{})}
	v.generation.Store(c.Generation())
	if v.Inputs == nil {
		for _, p := range s.Runtime.Inputs {
			v.Inputs = append(v.Inputs, v.port(p))
		}
	}
	if v.Outputs == nil {
		for _, p := range s.Runtime.Outputs {
			v.Outputs = append(v.Outputs, v.port(p))
		}
	}
	for _, p := range slices.Concat(v.Inputs, v.Outputs) {
		v.reshapes = v.reshapes || p.Reshape != nil
	}
	if s.MaxBatch == 0 || s.Alone {
		s.Batcher.MaxRows = 1
	}
	if e != nil {
		v.next = e
	} else {
		v.batcher = batcher.New(s.Model, s.Runtime, s.Batcher)
		v.next = v.batcher
	}
	if s.Config != nil && s.Config.Sequence != nil {
		v.sequences = newSequences(s.Config.Sequence)
	} else if s.Cached {
		v.cache = c
		if s.Digest != "" {
			v.identity = s.Model + "\x00" + v.VersionText + "\x00" + s.Digest
		}
	}
	return v
}

func (v *Served) port(p runtime.Port) Port {
	out := Port{Name: p.Name, DType: p.Type.DType, Shape: p.Shape()}
	if v.MaxBatch > 0 && len(out.Shape) > 0 {
		out.Shape[0] = -1
	}
	return out
}

// Shadowed reports whether copies of some requests go to a shadow.
func (v *Served) Shadowed() bool { return v.shadow.Load() != nil }

// Queue gives the counters of the version's batcher.
func (v *Served) Queue() *batcher.Stats {
	if v.batcher == nil {
		return &v.queue
	}
	return v.batcher.Stats()
}

// Generation is a number that no other Served of the process has or had. It changes where the
// version is made of other models and one of those does: what was remembered of it before holds
// no longer.
func (v *Served) Generation() uint64 { return v.generation.Load() }

// CountHit counts a request of this version that came at began and was answered by what
// the caller remembered of an equal one.
func (v *Served) CountHit(began time.Time) {
	v.Stats.hit(began)
}

// TurnAway refuses a request of which only the deadline is known, if its queue would refuse it
// whatever it holds. timeout 0 stands for the model's default.
func (v *Served) TurnAway(timeout time.Duration, tenant string) error {
	if v.batcher == nil || v.sequences != nil || v.cache != nil {
		return nil // what it holds decides
	}
	if timeout == 0 {
		timeout = v.Timeout
	}
	began := time.Now()
	err := v.batcher.TurnAway(timeout, tenant)
	if err != nil {
		v.Stats.Fail.add(int64(time.Since(began)))
	}
	return err
}

// OutputBytes is the size of an output of a request whose inputs are bound; known is false where the model's
// declared shape leaves more than the rows open, and for strings.
func (v *Served) OutputBytes(i int, c *Call) (n uint64, known bool) {
	p := &v.Outputs[i]
	if p.Shape == nil || p.DType == tensor.String {
		return 0, false
	}
	shape := make(tensor.Shape, len(p.Shape))
	for k, d := range p.Shape {
		if k == 0 && v.MaxBatch > 0 {
			d = int64(v.sentRows(c))
		}
		if d < 0 {
			return 0, false
		}
		shape[k] = int(d)
	}
	return uint64(p.DType.Bytes(shape.Elements())), shape.Check() == nil
}

// sentRows is the extent of axis 0 of the first input there is, −1 without one. MaxBatch is above 0.
func (v *Served) sentRows(c *Call) int {
	for i := range c.In {
		if t := &c.In[i]; t.DType != tensor.Invalid && len(t.Shape) > 0 && !v.Inputs[i].Hidden {
			return t.Shape[0]
		}
	}
	return -1
}

// Find gives the position of an input.
func (v *Served) Find(name []byte) (int, error) {
	if i := find(v.Inputs, name); i >= 0 {
		return i, nil
	}
	return 0, api.Errorf(api.CodeInputUnexpected, "unexpected inference input '%s' for model '%s'. Expected %s", name, v.Model, portNames(v.Inputs))
}

// FindOutput gives the position of an output.
func (v *Served) FindOutput(name []byte) (int, error) {
	if i := find(v.Outputs, name); i >= 0 {
		return i, nil
	}
	return 0, api.Errorf(api.CodeOutputUnexpected, "unexpected inference output '%s' for model '%s'. Expected %s", name, v.Model, portNames(v.Outputs))
}

func find(ports []Port, name []byte) int {
	for i := range ports {
		if ports[i].Name == string(name) && !ports[i].Hidden {
			return i
		}
	}
	return -1
}

// portNames lists the ports that a request may name, the first of many.
func portNames(ports []Port) string {
	const most = 8
	var names []string
	for _, p := range ports {
		if p.Hidden {
			continue
		}
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, "'"+p.Name+"'")
	}
	return "[" + strings.Join(names, ",") + "]"
}

// CheckInput compares the type and shape that a request gives for input i with the
// model's.
func (v *Served) CheckInput(i int, d tensor.DType, s tensor.Shape) error {
	p := &v.Inputs[i]
	if d != p.DType {
		return api.Errorf(api.CodeDtypeMismatch, "inference input '%s' for model '%s': expected datatype %s, got %s", p.Name, v.Model, p.DType.V2(), d.V2())
	}
	if p.Shape == nil || len(p.Shape) == 0 && len(s) == 1 && s[0] == 1 {
		return nil
	}
	fits := len(s) == len(p.Shape)
	for k := 0; fits && k < len(s); k++ {
		fits = p.Shape[k] < 0 || p.Shape[k] == int64(s[k])
	}
	if !fits {
		return api.Errorf(api.CodeShapeMismatch, "unexpected shape for input '%s' for model '%s'. Expected %s, got %v%s", p.Name, v.Model, shapeText(p.Shape), s, v.rankHint(p, s))
	}
	return nil
}

// rankHint helps with the commonest mistake: a rank-1 batched tensor sent as [B,1].
func (v *Served) rankHint(p *Port, s tensor.Shape) string {
	if v.MaxBatch > 0 && len(p.Shape) == 1 && len(s) == 2 && s[1] == 1 {
		return ": the tensor has one value a row, send shape [" + strconv.Itoa(s[0]) + "]"
	}
	return ""
}

func shapeText(s []int64) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(d, 10))
	}
	b.WriteByte(']')
	return b.String()
}

// Infer runs the call. An input of DType Invalid is one that the request left out. On
// success the caller reads c.Out and then calls c.Release.
func (v *Served) Infer(ctx context.Context, c *Call) error {
	began := time.Now()
	v.Stats.Pending.Add(1)
	shadow := v.shadow.Load()
	var mirrored *copied
	if shadow != nil {
		mirrored = shadow.before(v, c)
	}
	own := v.Timeout > 0 && c.Deadline.IsZero()
	if own {
		c.Deadline = cmp.Or(c.Arrived, began).Add(v.Timeout)
	}
	err := v.infer(ctx, c)
	if own {
		c.Deadline = time.Time{} // the next request of this call may be another's
	}
	v.Stats.Pending.Add(-1)
	took := int64(time.Since(began))
	if mirrored != nil && err == nil {
		shadow.after(v, c, mirrored, took)
	}
	if err != nil {
		v.Stats.Fail.add(took)
		return err
	}
	v.Stats.record(c.Rows, took, c)
	if v.cache != nil && c.Outcome == Ran {
		v.Stats.CacheMiss.add(took - c.Timing.Queue - c.Timing.Input - c.Timing.Infer - c.Timing.Output)
	}
	return nil
}

func (v *Served) infer(ctx context.Context, c *Call) error {
	c.Outcome = Ran
	if err := v.rows(c); err != nil {
		return err
	}
	if v.Check != nil {
		for i := range v.Inputs {
			if v.Inputs[i].Hidden {
				continue
			}
			if err := v.Check(v.Inputs[i].Name, &c.In[i]); err != nil {
				return err
			}
		}
	}
	if v.reshapes {
		return v.inferReshaped(ctx, c)
	}
	if v.Features == nil {
		return v.answer(ctx, c)
	}
	if err := v.Features.Check(c.In); err != nil {
		return err
	}
	err := v.answer(ctx, c)
	if err == nil {
		v.Features.Observe(c.In, c.Out)
	}
	return err
}

// answer goes to the cache, if the version has one, or to the batcher or the steps.
func (v *Served) answer(ctx context.Context, c *Call) error {
	if v.sequences != nil {
		return v.inferSequence(ctx, c)
	}
	if v.cache == nil {
		return v.next.Do(ctx, &c.Request)
	}
	s := cache.Scope{Tenant: c.Tenant, Generation: v.generation.Load(), Identity: v.identity, Extra: c.Extra}
	how, err := v.cache.Do(ctx, &s, v.next, &c.Request)
	if how != cache.Miss {
		c.Outcome = FromCache
	}
	return err
}

// rows checks that all inputs are there and agree on the batch.
func (v *Served) rows(c *Call) error {
	c.Rows = 0
	first, absent := -1, false
	for i := range v.Inputs {
		if v.Inputs[i].Hidden {
			continue
		}
		if i >= len(c.In) || c.In[i].DType == tensor.Invalid {
			if absent = true; !v.Inputs[i].Optional {
				return v.missing(c)
			}
			continue
		}
		if v.MaxBatch == 0 {
			continue
		}
		if len(c.In[i].Shape) == 0 { // a port of unknown rank takes any shape
			return api.Errorf(api.CodeShapeMismatch, "unexpected shape for input '%s' for model '%s'. Expected a batch axis, got []", v.Inputs[i].Name, v.Model)
		}
		n := c.In[i].Shape[0]
		if first < 0 {
			first, c.Rows = i, n
		} else if n != c.Rows {
			return api.Errorf(api.CodeShapeMismatch, "input '%s' for model '%s' has batch size %d, input '%s' has %d: they must agree", v.Inputs[i].Name, v.Model, n, v.Inputs[first].Name, c.Rows)
		}
	}
	if absent && v.MaxBatch > 0 && first < 0 {
		return v.missing(c)
	}
	if absent {
		v.fillOptional(c)
	}
	return v.CheckRows(c.Rows)
}

// CheckRows refuses a request of more rows than the version takes.
func (v *Served) CheckRows(n int) error {
	if v.MaxBatch > 0 && n > v.MaxBatch {
		return api.Errorf(api.CodeBatchTooLarge, "inference request batch-size must be <= %d for '%s', got %d", v.MaxBatch, v.Model, n)
	}
	return nil
}

// fillOptional makes the optional inputs that the request left out.
func (v *Served) fillOptional(c *Call) {
	for len(c.In) < len(v.Inputs) {
		c.In = append(c.In, tensor.Tensor{})
	}
	for i := range v.Inputs {
		if c.In[i].DType != tensor.Invalid || v.Inputs[i].Hidden {
			continue
		}
		p := &v.Inputs[i]
		shape := make(tensor.Shape, len(p.Shape))
		for k, d := range p.Shape {
			shape[k] = int(d)
		}
		if v.MaxBatch > 0 {
			shape[0] = c.Rows
		}
		c.In[i] = *tensor.New(p.DType, shape)
	}
}

func (v *Served) missing(c *Call) error {
	var got, lack, optional []string
	for i := range v.Inputs {
		if v.Inputs[i].Hidden {
			continue
		}
		name := "'" + v.Inputs[i].Name + "'"
		switch {
		case i < len(c.In) && c.In[i].DType != tensor.Invalid:
			got = append(got, name)
		case v.Inputs[i].Optional:
			optional = append(optional, name)
		default:
			lack = append(lack, name)
		}
	}
	if len(lack) == 0 {
		lack = optional // all are, and one at least must be there: it says how many rows
	}
	return api.Errorf(api.CodeInputMissing, "expected %d inputs but got %d inputs for model '%s'. Got input(s) [%s], but missing required input(s) [%s]", len(got)+len(lack), len(got), v.Model, strings.Join(got, ","), strings.Join(lack, ","))
}

// acquire takes a reference unless the version is retired.
func (v *Served) acquire() bool {
	v.refs.Add(1)
	if v.retired.Load() {
		v.Done()
		return false
	}
	return true
}

// Done returns the reference that Resolve gave.
func (v *Served) Done() {
	if v.refs.Add(-1) == 0 && v.retired.Load() {
		select {
		case v.idle <- struct{}{}:
		default:
		}
	}
}

// retire waits until nobody holds a reference and the batcher has drained.
func (v *Served) retire() {
	v.retired.Store(true)
	for v.refs.Load() > 0 {
		select {
		case <-v.idle:
		case <-time.After(10 * time.Millisecond):
		}
	}
	if v.sequences != nil {
		v.sequences.close()
	}
	if e, ok := v.next.(*ensemble); ok {
		e.close()
	} else {
		v.batcher.Close()
	}
}

// servable reports a tensor port; sequences and maps have no form in the v2 protocol.
func servable(t graph.Type) bool { return t.Kind == graph.TensorKind }
