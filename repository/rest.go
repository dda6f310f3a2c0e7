package repository

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/klauspost/compress/zstd"
)

// packedSuffix ends the name of a model file that is compressed with zstd.
const packedSuffix = ".zst"

// forms lists the names under which a model file may rest, the plain one first.
func forms(file string) []string {
	if file == "" {
		return []string{""}
	}
	return []string{file, file + packedSuffix, file + seal.Suffix}
}

// opener opens model files in every form: plain ones are mapped, packed and sealed ones
// are unpacked into memory and never onto the disk.
type opener struct {
	engine *runtime.Engine
	keys   *seal.Keyring
	at     runtime.Placement
}

// open opens a version's model file from its folder.
func (o opener) open(dir, file string) (*runtime.Model, error) {
	plain := filepath.Join(dir, file)
	if _, err := os.Stat(plain); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return o.engine.OpenAt(plain, o.at)
	}
	if b, err := o.unpacked(plain + packedSuffix); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, err
		}
		return o.engine.ReadAt(b, nil, o.at)
	}
	b, err := o.unsealed(plain + seal.Suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return o.engine.OpenAt(plain, o.at) // whose error names the file that is expected
	}
	if err != nil {
		return nil, err
	}
	beside, err := o.beside(dir, file+seal.Suffix)
	if err != nil {
		return nil, err
	}
	return o.engine.ReadAt(b, beside, o.at)
}

// beside opens the other sealed files of a version: a model's external data.
func (o opener) beside(dir, model string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), seal.Suffix)
		if !ok || e.Name() == model {
			continue
		}
		if out[name], err = o.unsealed(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return out, nil
}

func (o opener) unsealed(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return o.keys.Open(b)
}

func (o opener) unpacked(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := zstd.NewReader(f, zstd.WithDecoderMaxMemory(onnx.MaxFile))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	b, err := io.ReadAll(io.LimitReader(d, onnx.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	if len(b) > onnx.MaxFile {
		return nil, fmt.Errorf("%w: it unpacks to more than 2 GiB", errPacked)
	}
	return b, nil
}
