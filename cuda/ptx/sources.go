package ptx

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
)

var include = regexp.MustCompile(`(?m)^#include "([^"]+)"`)

// Hashes gives the sha256 of a source and of all that it includes from its folder.
func Hashes(dir, file string) (map[string]string, error) {
	out := map[string]string{}
	todo := []string{file}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if _, done := out[name]; done {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		out[name] = hex.EncodeToString(sum[:])
		for _, m := range include.FindAllSubmatch(b, -1) {
			todo = append(todo, string(m[1]))
		}
	}
	return out, nil
}
