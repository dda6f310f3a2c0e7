// Package job compresses a model of the repository as a training job: the trainer named
// compress takes a version, and what comes of it is a new version, of the same model or of
// another. The job's store, child process, log, cancellation and restart are those of train/jobs.
//
// Neighbours: compress does the work; train publishes the version; repository and
// repository/config find the original. cmd registers the trainer with those of train.
//
// Concurrency: a trainer has no state.
package job

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/compress"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/train"
)

// TrainerName is what requests call the trainer by.
const TrainerName = "compress"

// The parameters beside those of compress.Settings.
const (
	baseParameter       = "base"       // MODEL/VERSION to compress, or MODEL: its newest version
	encryptParameter    = "encrypt"    // true: seal with the newest of the server's model keys
	vocabularyParameter = "vocabulary" // token ids in use, with commas between
)

// Trainer compresses; keys is the source of the server's model keys ("" for none), which seal
// the result and open what is sealed. A request names no keys, and no file of the server but
// its data.
func Trainer(keys string) train.Trainer {
	return func(ctx context.Context, j train.Job) (train.Result, error) { return run(ctx, j, keys) }
}

// Check says what is wrong with the parameters.
func Check(j train.Job) error {
	_, _, err := options(j)
	return err
}

func run(ctx context.Context, j train.Job, keys string) (train.Result, error) {
	began := time.Now()
	o, encrypt, err := options(j)
	if err != nil {
		return train.Result{}, err
	}
	b, err := findBase(j.Out, j.Parameters[baseParameter])
	if err != nil {
		return train.Result{}, err
	}
	if err := checkSum(&j); err != nil {
		return train.Result{}, err
	}
	if encrypt || b.sealed {
		if !encrypt {
			return train.Result{}, api.Errorf(api.CodeTrainingParameterInvalid, "%s is sealed, and what is made of it must be: set encrypt", b)
		}
		if keys == "" {
			return train.Result{}, api.Errorf(api.CodeTrainingParameterInvalid, "the server has no keys to seal with: --model-keys names them")
		}
		if o.Keys, err = seal.LoadKeyring(keys); err != nil {
			return train.Result{}, api.Errorf(api.CodeModelKeyMissing, "the server's model keys can't be read: %w", err)
		}
	}
	o.Progress = func(step string) { j.Tell(train.Event{Stage: step}) }
	made, err := compress.Make(ctx, filepath.Join(b.dir, b.file), o)
	res := train.Result{Model: cmp.Or(j.Model, b.model)}
	if made != nil {
		res.Metrics = figures(made.Report, o.Bar)
	}
	if err != nil {
		return res, code(err)
	}
	j.Tell(train.Event{Stage: "write"})
	res.Path, res.Version, err = publish(j, b, res, made, began)
	return res, err
}

// options reads the parameters.
func options(j train.Job) (o compress.Options, encrypt bool, err error) {
	invalid := func(format string, args ...any) (compress.Options, bool, error) {
		return compress.Options{}, false, api.Errorf(api.CodeTrainingParameterInvalid, format, args...)
	}
	if j.Columns.Target != "" || len(j.Columns.Types) > 0 {
		return invalid("a compression has no target and no columns")
	}
	var s compress.Settings
	f := pflag.NewFlagSet(TrainerName, pflag.ContinueOnError)
	s.Bind(f)
	var ids []int64
	for _, name := range slices.Sorted(maps.Keys(j.Parameters)) {
		value := j.Parameters[name]
		switch name {
		case baseParameter:
		case encryptParameter:
			if encrypt, err = strconv.ParseBool(value); err != nil {
				return invalid("encrypt is %.40q, expected true or false: the keys are the server's", value)
			}
		case vocabularyParameter:
			for text := range strings.SplitSeq(value, ",") {
				id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
				if err != nil {
					return invalid("vocabulary holds %.40q, expected token ids with commas between", text)
				}
				ids = append(ids, id)
			}
		case "shape":
			for one := range strings.SplitSeq(value, ",") {
				if err := f.Set(name, one); err != nil {
					return invalid("shape: %v", err)
				}
			}
		default:
			flag := strings.ReplaceAll(name, "_", "-")
			if f.Lookup(flag) == nil {
				return invalid("the trainer has no parameter %.40q; it has: %s", name, strings.Join(parameters(f), ", "))
			}
			if err := f.Set(flag, value); err != nil {
				return invalid("%s is %.40q: %v", name, value, err)
			}
		}
	}
	if o, err = s.Options(ids); err != nil {
		return invalid("%v", err)
	}
	if o.Crop == nil && o.Prune == nil && o.Quantize == nil && !o.Pack && !encrypt {
		return invalid("nothing is to be done: set crop, prune, quantize, pack or encrypt")
	}
	o.Data.Path, o.Threads, o.Seed = j.Data, j.Workers, j.Seed
	return o, encrypt, nil
}

// parameters lists what a request may set.
func parameters(f *pflag.FlagSet) []string {
	out := []string{baseParameter, encryptParameter, vocabularyParameter}
	f.VisitAll(func(one *pflag.Flag) { out = append(out, strings.ReplaceAll(one.Name, "-", "_")) })
	slices.Sort(out)
	return out
}

// code gives a failure of the compression its code.
func code(err error) error {
	var bar *compress.ErrBar
	switch {
	case errors.As(err, &bar):
		return api.Errorf(api.CodeCompressionBarMissed, "nothing was published: %s", bar.Reason)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, seal.ErrKey):
		return api.Errorf(api.CodeModelKeyMissing, "%w", err)
	case errors.Is(err, seal.ErrForged), errors.Is(err, seal.ErrFormat):
		return api.Errorf(api.CodeModelForged, "%w", err)
	}
	return api.Errorf(api.CodeCompressionFailed, "%w", err)
}

// checkSum holds the data to the hash that the request gave.
func checkSum(j *train.Job) error {
	if j.SHA256 == "" || j.Data == "" {
		return nil
	}
	f, err := os.Open(j.Data)
	if err != nil {
		return api.Errorf(api.CodeTrainingDataUnreadable, "%w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return api.Errorf(api.CodeTrainingDataUnreadable, "%w", err)
	}
	return j.CheckSum(hex.EncodeToString(sum.Sum(nil)))
}

// base is the version that is compressed.
type base struct {
	dir, model string
	version    int
	file       string
	sealed     bool
}

func (b base) String() string { return b.model + "/" + strconv.Itoa(b.version) }

// findBase finds a version in the repository's folder.
func findBase(repo, text string) (base, error) {
	model, version, given := strings.Cut(text, "/")
	n := int64(0)
	ok := config.ValidName(model)
	if given && ok {
		n, ok = config.ParseVersion(version)
	}
	if !ok {
		return base{}, api.Errorf(api.CodeTrainingParameterInvalid, "the parameter base is %.100q, expected a model of the repository with a version, such as minilm/2", text)
	}
	entries, err := os.ReadDir(filepath.Join(repo, model))
	if err != nil {
		return base{}, api.Errorf(api.CodeModelNotFound, "the repository has no model %s", model)
	}
	for _, e := range entries {
		if v, ok := config.ParseVersion(e.Name()); ok && !given && v > n {
			n = v
		}
	}
	file, err := modelFile(filepath.Join(repo, model))
	if err != nil {
		return base{}, err
	}
	b := base{dir: filepath.Join(repo, model, strconv.FormatInt(n, 10)), model: model, version: int(n), file: file}
	for _, suffix := range []string{"", ".zst", seal.Suffix} {
		if _, err := os.Stat(filepath.Join(b.dir, b.file+suffix)); err == nil {
			b.sealed = suffix == seal.Suffix
			return b, nil
		}
	}
	return base{}, api.Errorf(api.CodeModelVersionNotFound, "version %d of %s has no %s: only ONNX models can be compressed", n, model, file)
}

// modelFile is what a model's configuration calls its file.
func modelFile(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil {
		return "model.onnx", nil
	}
	f, err := config.Parse(text)
	if err == nil {
		var name string
		if name, err = f.ModelFile(); err == nil {
			return cmp.Or(name, "model.onnx"), nil
		}
	}
	return "", api.Errorf(api.CodeCompressionFailed, "the original's %s can't be read: %w", configName, err)
}

// figures are the report's, as a job shows them.
func figures(r *compress.Report, bar compress.Bar) []train.Metric {
	var out []train.Metric
	add := func(set, name string, value float64) *train.Metric {
		out = append(out, train.Metric{Name: name, Set: set, Value: value, Low: value, High: value})
		return &out[len(out)-1]
	}
	ratio := func(name string, before, after int64) {
		if before > 0 {
			add("of the original", name, float64(after)/float64(before))
		}
	}
	ratio("file", r.Before.FileBytes, r.After.FileBytes)
	ratio("weights_in_memory", r.Before.WeightBytes, r.After.WeightBytes)
	ratio("work", r.Before.FLOPs, r.After.FLOPs)
	ratio("time", r.Before.BestNS, r.After.BestNS)
	for _, o := range r.Outputs {
		set := "output " + o.Name
		if m := add(set, "cosine_mean", o.MeanCosine); bar.MinCosine > 0 {
			m.Gate, m.Passed = fmt.Sprintf("cosine_mean>=%g", bar.MinCosine), o.MeanCosine >= bar.MinCosine
		}
		add(set, "cosine_least", o.MinCosine)
		// JSON has no infinity: an output that is no number is told by the bar alone.
		if m := add(set, "error_largest", min(o.MaxError, 1e300)); bar.MaxError > 0 {
			m.Gate, m.Passed = fmt.Sprintf("error_largest<=%g", bar.MaxError), o.MaxError <= bar.MaxError
		}
	}
	if r.Metric != nil {
		add("labels, before", r.Metric.Name, r.Metric.Before)
		if m := add("labels, after", r.Metric.Name, r.Metric.After); bar.MaxLoss > 0 {
			m.Gate, m.Passed = fmt.Sprintf("%s loses <=%g", r.Metric.Name, bar.MaxLoss), r.Metric.Before-r.Metric.After <= bar.MaxLoss
		}
	}
	return out
}

// report is report.json: the compression's, with what a job that is found done again reads.
type report struct {
	*compress.Report
	Base    string         `json:"base"`
	Metrics []train.Metric `json:"metrics"`
	Seconds float64        `json:"seconds"`
}

func reportJSON(r report) ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}
