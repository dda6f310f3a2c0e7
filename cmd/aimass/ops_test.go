package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestOperatorPage holds docs/operators.md to what is built in.
func TestOperatorPage(t *testing.T) {
	out, err := run("ops", "--markdown")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../docs/operators.md", out)
}

func TestOps(t *testing.T) {
	out, err := run("ops", "--json", "gemm", "batchnorm", "Upsample", "scaler")
	if err != nil {
		t.Fatal(err)
	}
	var rows []opRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	got := map[string]opRow{}
	for _, r := range rows {
		got[r.Domain+"."+r.Operator] = r
	}
	if r := got["ai.onnx.Gemm"]; r.CPU != "fast" || len(r.Opsets) < 3 || r.Opsets[0] != 1 || r.Removed != 0 {
		t.Errorf("Gemm: %+v", r)
	}
	if r := got["ai.onnx.ml.Scaler"]; r.CPU != "eval" || len(r.Opsets) != 1 {
		t.Errorf("Scaler: %+v", r)
	}
	if r := got["ai.onnx.Upsample"]; r.Removed != 10 {
		t.Errorf("Upsample: %+v", r)
	}
	text, err := run("ops", "upsample")
	if err != nil || !strings.Contains(text, "(until 9)") || !strings.Contains(text, "1 operators: ") {
		t.Errorf("%v\n%s", err, text)
	}
}
