package config

import (
	"maps"
	"strconv"
	"time"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime/tensor"
)

// DerivedMaxBatch is the max_batch_size of a model whose rows are proved independent and
// whose configuration doesn't say: generous, since it bounds one request's rows only.
const DerivedMaxBatch = 4096

// The platform and backend names of what is served.
const (
	PlatformONNX  = "onnxruntime_onnx" // Triton's name, which clients look for
	BackendONNX   = "onnxruntime"
	BackendNative = "native"
	// BackendEnsemble is no backend to write, but what an ensemble has instead of one;
	// Triton's configurations spell it as the platform.
	BackendEnsemble = "ensemble"
	// ModelFile is the file of a version that the configuration doesn't name.
	ModelFile = "model.onnx"
	// nativeParameter names the Go model of a configuration with the native backend.
	nativeParameter = "model"
)

// Config is what holds for one version of a model: as written, and derived where nothing
// is written.
type Config struct {
	// Proto is the complete configuration, as GET /v2/models/M/config answers it.
	Proto *inferencepb.ModelConfig
	// MaxBatch > 0: requests carry a batch dimension of at most so many rows. 0: shapes
	// are whole.
	MaxBatch int
	// Batched says that rows of different requests may run together; BatchReason why, or
	// why not.
	Batched     bool
	BatchReason string
	// Inputs and Outputs are the ports in the model's order, as clients see them.
	Inputs, Outputs []Port
	// Instances is the number of executions at once that is asked for, 0 if the server
	// may choose.
	Instances int
	// QueueDelay is how long a request may wait for company although a worker is free.
	QueueDelay time.Duration
	// PreferredBatch lists batch sizes to prefer, rising.
	PreferredBatch []int
	// MaxQueue bounds the requests that wait; 0 is the server's bound.
	MaxQueue int
	// Timeout is the longest time in the queue of a request that brings none, 0 for no
	// end; TimeoutDelays: then it waits behind the others instead of being refused.
	Timeout       time.Duration
	TimeoutDelays bool
	// TimeoutOverride lets a request shorten Timeout.
	TimeoutOverride bool
	// PriorityLevels is 0 without priorities, else requests have 1 (first) to so many.
	PriorityLevels, DefaultPriority int
	PreserveOrdering                bool
	// CacheEnabled asks for the prediction cache.
	CacheEnabled bool
	// Decoupled models are refused, so this is false.
	Decoupled bool
	// Parameters are the values as written, for the model and for the server.
	Parameters map[string]string
	// Steps of an ensemble, each behind those that it reads from; nil for a model that runs
	// itself.
	Steps []Step
	// Sequence says what is kept between requests; nil for a model that keeps nothing.
	Sequence *Sequence
	// Warmup lists the requests to run before the version is ready, besides those that
	// the server makes up.
	Warmup []*inferencepb.ModelWarmup
	file   *File
}

// Port is an input or output as clients see it.
type Port struct {
	Name  string
	DType tensor.DType // Invalid if the model doesn't declare it
	// Shape is that of a request or answer, −1 for any size; where MaxBatch > 0 the batch
	// dimension comes first. Nil: the model declares no rank.
	Shape []int64
	// Reshaped: the model takes or gives another shape, Reshape, of the same number of
	// elements. Reshape leaves out the batch dimension.
	Reshaped bool
	Reshape  []int64
	// Optional inputs that a request leaves out are zeros, false or empty strings.
	Optional bool
	// Labels name the classes of an output, in order of their index.
	Labels []string
	// Hidden ports are the server's: a sequence's state and controls.
	Hidden bool
}

// Output finds an output's port, nil if there is none.
func (c *Config) Output(name string) *Port {
	for i := range c.Outputs {
		if c.Outputs[i].Name == name {
			return &c.Outputs[i]
		}
	}
	return nil
}

// At names the place of a field in the text that the configuration comes from.
func (c *Config) At(path string) Field {
	if c.file == nil {
		return Field{Path: path}
	}
	return c.file.At(path)
}

// dtypes maps the configuration's element types to ours.
var dtypes = map[inferencepb.DataType]tensor.DType{
	inferencepb.DataType_TYPE_BOOL: tensor.Bool, inferencepb.DataType_TYPE_STRING: tensor.String,
	inferencepb.DataType_TYPE_UINT8: tensor.Uint8, inferencepb.DataType_TYPE_UINT16: tensor.Uint16,
	inferencepb.DataType_TYPE_UINT32: tensor.Uint32, inferencepb.DataType_TYPE_UINT64: tensor.Uint64,
	inferencepb.DataType_TYPE_INT8: tensor.Int8, inferencepb.DataType_TYPE_INT16: tensor.Int16,
	inferencepb.DataType_TYPE_INT32: tensor.Int32, inferencepb.DataType_TYPE_INT64: tensor.Int64,
	inferencepb.DataType_TYPE_FP16: tensor.Float16, inferencepb.DataType_TYPE_BF16: tensor.BFloat16,
	inferencepb.DataType_TYPE_FP32: tensor.Float32, inferencepb.DataType_TYPE_FP64: tensor.Float64,
}

// DataType gives the configuration's name of an element type, TYPE_INVALID if none.
func DataType(d tensor.DType) inferencepb.DataType {
	for k, v := range dtypes {
		if v == d {
			return k
		}
	}
	return inferencepb.DataType_TYPE_INVALID
}

// DType is the inverse of DataType.
func DType(d inferencepb.DataType) tensor.DType { return dtypes[d] }

// Backend says what runs the model: BackendONNX, BackendNative or BackendEnsemble. The
// error names the line of what is not served here.
func (f *File) Backend() (string, error) {
	if f == nil {
		return BackendONNX, nil
	}
	p := f.Proto
	if ensemble, err := f.ensemble(); ensemble || err != nil {
		return BackendEnsemble, err
	}
	switch p.Backend {
	case "", BackendONNX, BackendNative:
	default:
		return "", f.invalid("backend", "got %q, expected %q or %q", p.Backend, BackendONNX, BackendNative)
	}
	switch {
	case p.Platform == "" || p.Platform == PlatformONNX && p.Backend != BackendNative:
	case p.Platform == BackendNative && p.Backend != BackendONNX:
		return BackendNative, nil
	default:
		return "", f.invalid("platform", "got %q, expected %q or %q (or none, with backend: %q)", p.Platform, PlatformONNX, BackendEnsemble, BackendNative)
	}
	if p.Backend == BackendNative {
		return BackendNative, nil
	}
	return BackendONNX, nil
}

// ModelFile is the name of the model's file in a version's folder.
func (f *File) ModelFile() (string, error) {
	if f == nil || f.Proto.DefaultModelFilename == "" {
		return ModelFile, nil
	}
	name := f.Proto.DefaultModelFilename
	if !ValidName(name) {
		return "", f.invalid("default_model_filename", "got %q, expected a plain file name", name)
	}
	return name, nil
}

// NativeName is the Go model that a configuration with the native backend asks for: its
// parameter "model", else default_model_filename, else the model's own name.
func (f *File) NativeName(model string) string {
	if s := f.Proto.Parameters[nativeParameter].GetStringValue(); s != "" {
		return s
	}
	if s := f.Proto.DefaultModelFilename; s != "" {
		return s
	}
	return model
}

// serverParameters are those that the server acts on, whatever the backend.
var serverParameters = map[string]bool{"reject_nan": true, "check": true, "feature_policy": true, layoutParameter: true, widthParameter: true, hostParameter: true,
	tf32Parameter: true}

// NativeParameters are the parameters for the Go model.
func (f *File) NativeParameters() map[string]string {
	out := f.parameters()
	delete(out, nativeParameter)
	maps.DeleteFunc(out, func(k, _ string) bool { return serverParameters[k] })
	return out
}

func (f *File) parameters() map[string]string {
	out := map[string]string{}
	if f != nil {
		for k, v := range f.Proto.Parameters {
			out[k] = v.GetStringValue()
		}
	}
	return out
}

// Versions picks from the versions that a folder has (rising) those to serve, and names
// those that the policy asks for and the folder lacks.
func (f *File) Versions(have []int64) (serve, missing []int64) {
	keep := 1
	if f != nil {
		switch p := f.Proto.VersionPolicy.GetPolicyChoice().(type) {
		case *inferencepb.ModelVersionPolicy_All_:
			return have, nil
		case *inferencepb.ModelVersionPolicy_Specific_:
			return specific(p.Specific.GetVersions(), have)
		case *inferencepb.ModelVersionPolicy_Latest_:
			keep = max(int(p.Latest.GetNumVersions()), 1)
		}
	}
	return have[max(len(have)-keep, 0):], nil
}

func specific(want, have []int64) (serve, missing []int64) {
	asked := map[int64]bool{}
	for _, v := range want {
		asked[v] = true
	}
	for _, v := range have {
		if asked[v] {
			serve = append(serve, v)
			delete(asked, v)
		}
	}
	for _, v := range want {
		if asked[v] {
			missing = append(missing, v)
			delete(asked, v)
		}
	}
	return serve, missing
}

// ValidName reports whether a model or file name is one that can do no harm as part of a
// path: letters, digits and . _ -, with no dot in front, at most 255 bytes.
func ValidName(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		if !wordByte(s[i]) && s[i] != '.' && s[i] != '-' {
			return false
		}
	}
	return true
}

// ParseVersion reads a version folder's name: a whole number above zero without a sign
// or leading zeros.
func ParseVersion(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}
