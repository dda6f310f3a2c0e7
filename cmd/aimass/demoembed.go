package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native/text"
)

// addEmbedding writes what makes a sentence encoder an embedding service: its tokenizer, the
// pooling of its hidden states, and the ensemble of the three.
func addEmbedding(out, encoder string, w io.Writer) error {
	m, err := runtime.NewEngine(runtime.Config{}).Open(filepath.Join(out, encoder, "1", "model.onnx"))
	if err != nil {
		return fmt.Errorf("--text-model: %w", err)
	}
	defer m.Close()
	hidden := ""
	for _, o := range m.Outputs {
		if o.Type.Ranked && len(o.Type.Shape) == 3 && hidden == "" {
			hidden = o.Name
		}
	}
	if hidden == "" {
		return fmt.Errorf("--text-model: the model has no output of three axes, the hidden states")
	}
	inputs := ""
	for _, in := range m.Inputs {
		inputs += fmt.Sprintf("    input_map { key: %q value: %q }\n", in.Name, in.Name)
	}
	width := m.Outputs[0].Type.Shape[len(m.Outputs[0].Type.Shape)-1].Size
	for name, conf := range map[string]string{
		encoder + "-tokenizer": fmt.Sprintf("# Texts to numbered pieces, by the vocabulary beside the encoder.\nbackend: \"native\"\n%s%s", parameter("model", text.Tokenizer), parameter("tokenizer", encoder)),
		encoder + "-pool":      fmt.Sprintf("# The mean of the hidden states of a text's pieces, of length 1.\nbackend: \"native\"\n%s%s", parameter("model", text.Pool), parameter("pooling", "mean")),
		encoder + "-embed":     fmt.Sprintf(embedConfig, width, encoder, encoder, inputs, hidden, encoder),
	} {
		dir := filepath.Join(out, name)
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(conf), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(w, "wrote %s\n", filepath.ToSlash(dir))
	}
	return nil
}

func parameter(key, value string) string {
	return fmt.Sprintf("parameters { key: %q value { string_value: %q } }\n", key, value)
}

const embedConfig = `# A text to its embedding in one call: tokenizer, encoder, pooling. Each step is batched by its
# own model, so texts of different callers run together.
platform: "ensemble"
input { name: "text" data_type: TYPE_STRING dims: [ -1 ] }
output { name: "embedding" data_type: TYPE_FP32 dims: [ -1, %d ] }
output { name: "pieces" data_type: TYPE_INT64 dims: [ -1 ] }
ensemble_scheduling {
  step {
    model_name: "%s-tokenizer"
    model_version: -1
    input_map { key: "text" value: "text" }
    output_map { key: "input_ids" value: "input_ids" }
    output_map { key: "attention_mask" value: "attention_mask" }
    output_map { key: "token_type_ids" value: "token_type_ids" }
    output_map { key: "pieces" value: "pieces" }
  }
  step {
    model_name: "%s"
    model_version: -1
%s    output_map { key: %q value: "hidden" }
  }
  step {
    model_name: "%s-pool"
    model_version: -1
    input_map { key: "hidden" value: "hidden" }
    input_map { key: "attention_mask" value: "attention_mask" }
    output_map { key: "embedding" value: "embedding" }
  }
}
`
