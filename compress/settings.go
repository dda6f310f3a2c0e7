package compress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aimass/aimass/runtime/feed"
)

// Settings are the options that can be given as text: flags of aimass compress, and under the
// same names, with _ for -, parameters of a compression job. None of them names a file.
type Settings struct {
	options                Options
	crop, keepUnusedInputs bool
	cropper                Crop
	pruner                 Prune
	quantizer              Quantize
	kind, calibrate        string
	shapes                 []string
}

// Bind declares the settings.
func (s *Settings) Bind(f *pflag.FlagSet) {
	f.BoolVar(&s.crop, "crop", false, "fold constants, drop what is dead, unused or twice there, merge batch normalizations, simplify trees")
	f.StringSliceVar(&s.cropper.Outputs, "outputs", nil, "crop to these outputs")
	f.Int64Var(&s.cropper.Unknown, "unknown", 0, "the id whose row other ids get")
	f.BoolVar(&s.keepUnusedInputs, "keep-inputs", false, "keep inputs that no output depends on")
	f.Float64Var(&s.pruner.Sparsity, "prune", 0, "share of single weights to set to zero, smallest first")
	f.BoolVar(&s.pruner.Global, "prune-global", false, "rank the weights of all layers together")
	f.Float64Var(&s.pruner.Neurons, "prune-neurons", 0, "share of hidden neurons to take out")
	f.Float64Var(&s.pruner.Channels, "prune-channels", 0, "share of convolution channels to take out")
	f.Float64Var(&s.pruner.Heads, "prune-heads", 0, "share of attention heads to take out")
	kinds := make([]string, len(Kinds))
	for i, k := range Kinds {
		kinds[i] = string(k)
	}
	f.StringVar(&s.kind, "quantize", "", "one of "+strings.Join(kinds, ", "))
	f.IntVar(&s.quantizer.Block, "block", 32, "weights that share a scale, of the kinds by block")
	f.StringVar(&s.calibrate, "calibrate", "minmax", "how int8-static finds ranges: minmax, percentile or entropy")
	f.Var(&s.quantizer.Smooth, "smooth", "how much of the range of products' inputs int8 moves into their matrices, such as 0.5, or auto; found from the inputs")
	f.BoolVar(&s.quantizer.Compensate, "compensate", false,
		"choose int8 codes of weights whose errors make good for each other over the inputs, which must be like those to come")
	f.StringSliceVar(&s.quantizer.Skip, "skip", nil, "nodes (or their outputs) that are not quantized")
	f.StringArrayVar(&s.shapes, "shape", nil, "a generated input's shape as name=1x128")
	f.IntVar(&s.options.Data.Sets, "sets", 8, "how many inputs are generated")
	f.Float64Var(&s.options.Bar.MinCosine, "min-cosine", 0, "write nothing if an output's mean cosine with the original's is less")
	f.Float64Var(&s.options.Bar.MaxError, "max-error", 0, "write nothing if an output differs by more")
	f.Float64Var(&s.options.Bar.MaxLoss, "max-loss", 0, "write nothing if the metric falls by more")
	f.BoolVar(&s.options.Pack, "pack", false, "compress the file with zstd")
}

// Options gives what was set; vocabulary are the token ids in use, nil for all.
func (s *Settings) Options(vocabulary []int64) (o Options, err error) {
	o = s.options
	if o.Data.Shapes, err = feed.ParseShapes(s.shapes); err != nil {
		return o, err
	}
	if s.crop || len(s.cropper.Outputs) > 0 || vocabulary != nil {
		c := s.cropper
		c.Vocabulary, c.Inputs = vocabulary, !s.keepUnusedInputs
		o.Crop = &c
	}
	if s.pruner != (Prune{Global: s.pruner.Global}) {
		p := s.pruner
		o.Prune = &p
	}
	if s.kind != "" {
		q := s.quantizer
		q.Kind, q.Calibrate = Kind(s.kind), Calibration(s.calibrate)
		if !slices.Contains(Kinds, q.Kind) {
			return o, fmt.Errorf("quantize is %q, expected one of %v", s.kind, Kinds)
		}
		o.Quantize = &q
	}
	return o, nil
}
