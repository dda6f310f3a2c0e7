// Package ptx holds the compiled kernels: PTX for compute_80, which every driver translates for the
// device that it finds, with a manifest of what each module was compiled from and by. The text of a
// module lies beside this file; the binary embeds it packed, a tenth of its size.
//
// Neighbours: cuda/kernels holds the sources, cuda/ptx/build compiles them (make cuda-ptx);
// cuda/kernel describes launches; cuda/driver loads a module when a Launch first names it.
// A test here fails when a source has changed and its PTX has not, without a compiler.
// Everything is read-only and safe for concurrent use.
package ptx

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

//go:generate go run ./build -pack .

//go:embed packed/*.ptx.zst manifest.json
var files embed.FS

// Baseline is the compute capability (major·10 + minor) that the modules need.
const Baseline = 80

// ErrUnknown wraps the error for a module that isn't there, ErrTooOld that for a device
// below Baseline.
var (
	ErrUnknown = errors.New("no such PTX module")
	ErrTooOld  = errors.New("the device is older than the kernels' baseline")
)

// Manifest says where the modules come from.
type Manifest struct {
	Compiler string   `json:"compiler"` // nvcc's release
	Flags    []string `json:"flags"`
	Modules  []Source `json:"modules"`
}

// Source is one module: its PTX's sha256 and that of each file it was compiled from.
type Source struct {
	Name   string            `json:"name"`
	SHA256 string            `json:"sha256"`
	Files  map[string]string `json:"files"`
}

var manifest = sync.OnceValue(func() Manifest {
	var m Manifest
	b, err := files.ReadFile("manifest.json")
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		panic("BUG: ptx: manifest.json: " + err.Error())
	}
	return m
})

// Provenance gives the manifest.
func Provenance() Manifest { return manifest() }

// Modules names all modules in order.
func Modules() []string {
	var names []string
	for _, m := range manifest().Modules {
		names = append(names, m.Name)
	}
	return names
}

// Module gives the PTX of a module for a device of compute capability sm (major·10 +
// minor). The bytes are the caller's.
func Module(name string, sm int) ([]byte, error) {
	if sm < Baseline {
		return nil, fmt.Errorf("compute capability %d.%d, %d.%d is needed: %w", sm/10, sm%10, Baseline/10, Baseline%10, ErrTooOld)
	}
	packed, err := files.ReadFile("packed/" + name + ".ptx.zst")
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, ErrUnknown)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	b, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("PTX module %q: %w", name, err)
	}
	return b, nil
}

var entry = regexp.MustCompile(`\.entry\s+(\w+)`)

// Entries names the kernels of a module in order.
func Entries(ptx []byte) []string {
	var names []string
	for _, m := range entry.FindAllSubmatch(ptx, -1) {
		names = append(names, string(m[1]))
	}
	slices.Sort(names)
	return names
}
