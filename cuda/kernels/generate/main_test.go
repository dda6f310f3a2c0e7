package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFresh fails when the table has changed and the sources have not been written again.
func TestFresh(t *testing.T) {
	for name, text := range generated() {
		b, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(b) != text {
			t.Errorf("cuda/kernels/%s is stale; run go generate ./cuda/kernels and make cuda-ptx", name)
		}
	}
}
