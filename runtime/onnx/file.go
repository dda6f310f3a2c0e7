package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"github.com/aimass/aimass/runtime/graph"
)

// MaxFile is the greatest size of the protobuf itself; protobuf ends there. Weights
// beyond it belong into external data files, which have no limit.
const MaxFile = 1<<31 - 1

// File is an open model file and the graph read from it.
type File struct {
	Model *graph.Model
	maps  []*mapping
}

// Open maps and reads a model file. External data are looked for in its directory only.
func Open(path string) (*File, error) {
	f := &File{}
	m, err := mapFile(path, MaxFile)
	if err != nil {
		if errors.Is(err, errTooLarge) {
			return nil, problemf(TooLarge, "%w: a protobuf ends at 2 GiB; save the model with its weights as external data", err)
		}
		return nil, err
	}
	f.maps = append(f.maps, m)
	ext := &externals{dir: filepath.Dir(path), file: f, open: map[string]*mapping{}}
	if f.Model, err = read(m.data, source{external: ext.data, lender: f}, f.size); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// MappedBytes is the size of all mappings.
func (f *File) MappedBytes() int64 {
	n := int64(0)
	for _, m := range f.maps {
		n += int64(len(m.data))
	}
	return n
}

// Idle says that the mapped weights will not be read for a while: what has been copied or
// packed need not be in memory twice. They stay readable.
func (f *File) Idle() {
	for _, m := range f.maps {
		m.idle()
	}
}

func (f *File) size() int { return int(f.MappedBytes()) }

// Await implements tensor.Lender: the system reads mapped memory when it is touched.
func (f *File) Await([]byte) error { return nil }

// Borrow implements tensor.Lender.
func (f *File) Borrow([]byte) error { return nil }

// Return implements tensor.Lender. It lets go of the memory behind a part of a mapping, which stays valid, for others
// too: it is read from the file again when it is touched.
func (f *File) Return(b []byte) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for _, m := range f.maps {
		if len(m.data) == 0 {
			continue
		}
		if base := uintptr(unsafe.Pointer(unsafe.SliceData(m.data))); at >= base && at < base+uintptr(len(m.data)) {
			off := int(at - base)
			m.forget(off, min(off+len(b), len(m.data)))
		}
	}
}

// Close unmaps; the graph's constants must not be used afterwards.
func (f *File) Close() error {
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, m.close())
	}
	f.maps = nil
	return errors.Join(errs...)
}

// externals resolves external data of one model.
type externals struct {
	dir  string
	file *File
	open map[string]*mapping
}

// data returns the bytes of one tensor. A location that leads outside of the model's
// directory, by dots or by a symbolic link, is refused.
func (e *externals) data(entries map[string]string, want int) ([]byte, error) {
	loc := entries["location"]
	if loc == "" {
		return nil, problemf(Weights, "external data without a location")
	}
	if !filepath.IsLocal(loc) || strings.ContainsRune(loc, '\\') {
		return nil, problemf(Weights, "external data at %q lie outside of the model's directory", loc)
	}
	m := e.open[loc]
	if m == nil {
		var err error
		if m, err = e.mapLocal(loc); err != nil {
			return nil, err
		}
		e.open[loc] = m
		e.file.maps = append(e.file.maps, m)
	}
	return part(m.data, entries, want)
}

// part cuts the bytes of one tensor out of an external file.
func part(data []byte, entries map[string]string, want int) ([]byte, error) {
	loc := entries["location"]
	off, err := sizeEntry(entries, "offset", 0)
	if err != nil {
		return nil, err
	}
	n, err := sizeEntry(entries, "length", want)
	if err != nil {
		return nil, err
	}
	if n != want {
		return nil, problemf(Weights, "external data %q: length %d, the shape takes %d bytes", loc, n, want)
	}
	if off > len(data) || n > len(data)-off {
		return nil, problemf(Weights, "external data %q: bytes %d to %d, the file has %d", loc, off, off+n, len(data))
	}
	return data[off : off+n : off+n], nil
}

func (e *externals) mapLocal(loc string) (*mapping, error) {
	root, err := os.OpenRoot(e.dir)
	if err != nil {
		return nil, fmt.Errorf("external data %q: the model's directory can't be read", loc)
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.FromSlash(loc), os.O_RDONLY|openFlags, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, problemf(Weights, "external data %q: no such file beside the model", loc)
		}
		return nil, problemf(Weights, "external data %q can't be opened, or lie outside of the model's directory", loc)
	}
	defer f.Close()
	return mapOpen(f, 1<<62)
}

func sizeEntry(entries map[string]string, key string, def int) (int, error) {
	s := entries[key]
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil || n < 0 {
		return 0, problemf(Weights, "external data: %s %q is no size", key, s)
	}
	return int(n), nil
}

var errTooLarge = errors.New("the file is too large")

func mapFile(path string, limit int64) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mapOpen(f, limit)
}

// checkSize gives a regular file's size within the limit.
func checkSize(f *os.File, limit int64) (int, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !st.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", filepath.Base(f.Name()))
	}
	if st.Size() > limit {
		return 0, fmt.Errorf("%w: %d bytes", errTooLarge, st.Size())
	}
	return int(st.Size()), nil
}
