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
)

func newCompressCommand() *cobra.Command {
	var (
		settings                 compress.Settings
		inputs, labels           string
		out, keys, vocab, signer string
		threads                  int
		quiet                    bool
	)
	c := &cobra.Command{
		Use:   "compress MODEL.onnx --out DIR",
		Short: "Make a smaller model of a model: crop, prune, quantize, pack, seal; with a report of what it cost",
		Long: `Make a smaller model of a model, which may be packed or sealed itself. The steps run in the order crop, prune, quantize,
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
			var ids []int64
			var err error
			if vocab != "" {
				if ids, err = readIDs(vocab); err != nil {
					return err
				}
			}
			o, err := settings.Options(ids)
			if err != nil {
				return err
			}
			o.Data.Path, o.Data.Labels, o.Threads = inputs, labels, threads
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
	settings.Bind(f)
	f.StringVar(&vocab, "vocabulary", "", "file with the token ids in use, one a line: embeddings keep these rows")
	f.StringVar(&inputs, "inputs", "", "folder of test_data_set_N, or file of inference requests, one in a line, to calibrate and compare with")
	f.StringVar(&labels, "labels", "", "file with the right answer for each row of the inputs, for accuracy or AUC")
	f.StringVar(&keys, "encrypt", "", "seal the file with the newest key of file:PATH, env:NAME or command:LINE; they open a sealed MODEL, too")
	f.StringVar(&signer, "sign", "", "sign the folder with this private key")
	f.IntVar(&threads, "threads", 1, "cores for the timings of the report")
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
