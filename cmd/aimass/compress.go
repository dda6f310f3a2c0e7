package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/compress"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime/feed"
)

func newCompressCommand() *cobra.Command {
	var (
		o                       compress.Options
		crop                    bool
		cropper                 compress.Crop
		pruner                  compress.Prune
		quantizer               compress.Quantize
		kind, calibrate         string
		out, keys, vocab        string
		shapes                  []string
		signer                  string
		outputs                 []string
		quiet, keepUnusedInputs bool
	)
	c := &cobra.Command{
		Use:   "compress MODEL.onnx --out DIR",
		Short: "Make a smaller model of a model: crop, prune, quantize, pack, seal; with a report of what it cost",
		Long: `Make a smaller model of a model. The steps run in the order crop, prune, quantize,
then the file is packed with zstd or sealed with a key. DIR gets model.onnx (or
model.onnx.zst, model.onnx.sealed), report.json and report.txt: a folder that can
be a model's next version as it is. The report compares size, work, memory, time
and answers on the inputs of --inputs, or on generated ones; below the bar nothing
is written, and the exit status is 1.`,
		Example: `  aimass compress minilm/model.onnx --out models/minilm-int8/1 --crop --quantize int8 --shape input_ids=1x32 --shape attention_mask=1x32 --shape token_type_ids=1x32
  aimass compress net.onnx --out models/net/2 --crop --quantize int8-static --inputs calibration --calibrate entropy --min-cosine 0.99
  aimass compress trees.onnx --out models/trees/2 --crop --pack`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Data.Shapes, err = feed.ParseShapes(shapes); err != nil {
				return err
			}
			if cropper.Outputs = outputs; vocab != "" {
				if cropper.Vocabulary, err = readIDs(vocab); err != nil {
					return err
				}
			}
			cropper.Inputs = !keepUnusedInputs
			if crop || len(outputs) > 0 || vocab != "" {
				o.Crop = &cropper
			}
			if pruner != (compress.Prune{Global: pruner.Global}) {
				o.Prune = &pruner
			}
			if kind != "" {
				quantizer.Kind, quantizer.Calibrate = compress.Kind(kind), compress.Calibration(calibrate)
				o.Quantize = &quantizer
			}
			if keys != "" {
				if o.Keys, err = seal.LoadKeyring(keys); err != nil {
					return fmt.Errorf("--encrypt: %w", err)
				}
			}
			if !quiet {
				o.Progress = func(s string) { fmt.Fprintln(cmd.ErrOrStderr(), s+" …") }
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			r, err := compress.Run(cmd.Context(), args[0], out, o)
			var bar *compress.ErrBar
			if r != nil && (err == nil || errors.As(err, &bar)) {
				fmt.Fprint(cmd.OutOrStdout(), r.Text())
			}
			if err != nil {
				return err
			}
			if signer == "" {
				return nil
			}
			private, err := os.ReadFile(signer)
			if err != nil {
				return fmt.Errorf("--sign: %w", err)
			}
			b, err := seal.Sign(os.DirFS(out), string(private))
			if err != nil {
				return fmt.Errorf("--sign: %w", err)
			}
			return replaceFile(filepath.Join(out, seal.SignatureFile), b)
		},
	}
	f := c.Flags()
	f.StringVar(&out, "out", "", "folder that the model and the report go to")
	_ = c.MarkFlagRequired("out")
	f.BoolVar(&crop, "crop", false, "fold constants, drop what is dead, unused or twice there, merge batch normalizations, simplify trees")
	f.StringSliceVar(&outputs, "outputs", nil, "crop to these outputs")
	f.StringVar(&vocab, "vocabulary", "", "file with the token ids in use, one a line: embeddings keep these rows")
	f.Int64Var(&cropper.Unknown, "unknown", 0, "the id whose row other ids get")
	f.BoolVar(&keepUnusedInputs, "keep-inputs", false, "keep inputs that no output depends on")
	f.Float64Var(&pruner.Sparsity, "prune", 0, "share of single weights to set to zero, smallest first")
	f.BoolVar(&pruner.Global, "prune-global", false, "rank the weights of all layers together")
	f.Float64Var(&pruner.Neurons, "prune-neurons", 0, "share of hidden neurons to take out")
	f.Float64Var(&pruner.Channels, "prune-channels", 0, "share of convolution channels to take out")
	f.Float64Var(&pruner.Heads, "prune-heads", 0, "share of attention heads to take out")
	kinds := make([]string, len(compress.Kinds))
	for i, k := range compress.Kinds {
		kinds[i] = string(k)
	}
	f.StringVar(&kind, "quantize", "", "one of "+strings.Join(kinds, ", "))
	f.IntVar(&quantizer.Block, "block", 32, "weights that share a scale, of the kinds by block")
	f.StringVar(&calibrate, "calibrate", "minmax", "how int8-static finds ranges: minmax, percentile or entropy")
	f.StringSliceVar(&quantizer.Skip, "skip", nil, "nodes (or their outputs) that are not quantized")
	f.StringVar(&o.Data.Dir, "inputs", "", "folder of test_data_set_N to calibrate and compare with")
	f.StringArrayVar(&shapes, "shape", nil, "a generated input's shape as name=1x128")
	f.IntVar(&o.Data.Sets, "sets", 8, "how many inputs are generated")
	f.StringVar(&o.Data.Labels, "labels", "", "file with the right answer for each row of the inputs, for accuracy or AUC")
	f.Float64Var(&o.Bar.MinCosine, "min-cosine", 0, "write nothing if an output's mean cosine with the original's is less")
	f.Float64Var(&o.Bar.MaxError, "max-error", 0, "write nothing if an output differs by more")
	f.Float64Var(&o.Bar.MaxLoss, "max-loss", 0, "write nothing if the metric falls by more")
	f.BoolVar(&o.Pack, "pack", false, "compress the file with zstd")
	f.StringVar(&keys, "encrypt", "", "seal the file with the newest key of file:PATH, env:NAME or command:LINE")
	f.StringVar(&signer, "sign", "", "sign the folder with this private key")
	f.IntVar(&o.Threads, "threads", 1, "cores for the timings of the report")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}

// readIDs reads one number a line.
func readIDs(name string) ([]int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--vocabulary: %w", err)
	}
	defer f.Close()
	var out []int64
	sc := bufio.NewScanner(f)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("--vocabulary, line %d: %q is no id", line, text)
		}
		out = append(out, n)
	}
	return out, sc.Err()
}
