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

// Content is a model file as it can be read: mapped from where it lies, or in memory.
type Content struct {
	// Path is the plain file, "" where Memory holds what was packed or sealed.
	Path string
	onnx.Memory
	// Sealed says that the content rests encrypted, and must not be written otherwise.
	Sealed bool
	opened []*seal.Content
}

// Verify waits until all that was sealed is open. The error says what is forged.
func (c *Content) Verify() error {
	for _, o := range c.opened {
		if err := o.Verify(); err != nil {
			return err
		}
	}
	return nil
}

// sealedFiles are the files that a sealed model's bytes lie in. It implements tensor.Lender.
type sealedFiles []*seal.Content

func (s sealedFiles) Await(part []byte) error {
	return s.each(func(o *seal.Content) error { return o.Await(part) })
}

func (s sealedFiles) Borrow(part []byte) error {
	return s.each(func(o *seal.Content) error { return o.Borrow(part) })
}

func (s sealedFiles) Return(part []byte) {
	for _, o := range s {
		o.Return(part)
	}
}

// each asks all of them, since a part is of one and nothing to the others.
func (s sealedFiles) each(do func(*seal.Content) error) error {
	for _, o := range s {
		if err := do(o); err != nil {
			return err
		}
	}
	return nil
}

// Free gives the memory of unsealed content back, which must not be used any more.
func (c *Content) Free() {
	for _, o := range c.opened {
		o.Free()
	}
}

// Find finds a model file in a version's folder in whichever form it rests. Packed and sealed
// ones are unpacked into memory, all of which may be read until Free, and never onto the disk.
func Find(dir, file string, keys *seal.Keyring) (Content, error) {
	c, err := begin(dir, file, keys)
	if err != nil {
		return Content{}, err
	}
	if err := c.Verify(); err != nil {
		c.Free()
		return Content{}, err
	}
	c.Lender = nil
	return *c, nil
}

// begin is Find that leaves sealed content arriving: who uses it verifies it at the end.
func begin(dir, file string, keys *seal.Keyring) (*Content, error) {
	plain := filepath.Join(dir, file)
	if _, err := os.Stat(plain); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return &Content{Path: plain}, nil
	}
	b, err := unpacked(plain + packedSuffix)
	if !errors.Is(err, fs.ErrNotExist) {
		return &Content{Memory: onnx.Memory{Bytes: b}}, err
	}
	o, err := keys.BeginFile(plain + seal.Suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return &Content{Path: plain}, nil // whose opening names the file that is expected
	}
	if err != nil {
		return nil, err
	}
	c := &Content{Memory: onnx.Memory{Bytes: o.Bytes}, Sealed: true, opened: []*seal.Content{o}}
	if err := c.beside(dir, file+seal.Suffix, keys); err != nil {
		c.Free()
		return nil, err
	}
	c.Lender = sealedFiles(c.opened)
	return c, nil
}

// opener opens model files in every form.
type opener struct {
	engine *runtime.Engine
	keys   *seal.Keyring
	at     runtime.Placement
}

// open opens a version's model file from its folder. A sealed one may go on arriving: who serves
// the model verifies it before.
func (o opener) open(dir, file string) (*runtime.Model, error) {
	c, err := begin(dir, file, o.keys)
	switch {
	case err != nil:
		return nil, err
	case c.Path != "":
		return o.engine.OpenAt(c.Path, o.at)
	}
	m, err := o.engine.ReadAt(c.Memory, o.at)
	if err != nil {
		if forged := c.Verify(); forged != nil {
			err = forged // of which all else follows
		}
		c.Free()
		return nil, err
	}
	m.RestsOn(c)
	return m, nil
}

// beside opens the other sealed files of a version: a model's external data.
func (c *Content) beside(dir, model string, keys *seal.Keyring) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	c.Files = map[string][]byte{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), seal.Suffix)
		if !ok || e.Name() == model {
			continue
		}
		o, err := keys.BeginFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		c.Files[name], c.opened = o.Bytes, append(c.opened, o)
	}
	return nil
}

func unpacked(path string) ([]byte, error) {
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
