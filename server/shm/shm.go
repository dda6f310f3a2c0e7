// Package shm is the v2 protocol's system shared memory extension: clients of this machine
// register pieces of POSIX shared memory under names, and inputs and outputs then lie there.
//
// The memory is read and written by system calls, never mapped: a client that cuts its file
// short gets an error, where a mapping would kill the server. An input is copied once, into
// the memory that the request runs on.
//
// Names are each tenant's own; one tenant can't see, use or drop another's. A region counts
// the requests that use it and can't be unregistered while there are any.
//
// Neighbours: service registers regions and takes references for requests.
//
// Concurrency: a Registry is safe for concurrent use.
package shm

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/aimass/aimass/api"
)

// Config of the extension.
type Config struct {
	// Allow turns it on. Default: off; then every call is refused as unsupported.
	Allow bool
	// Prefix is what keys must begin with, the leading slash left out, so that clients reach
	// no memory but their own. Default: any.
	Prefix string
	// MaxRegions bounds the regions of one tenant. Default 1024.
	MaxRegions int
	// Dir is where the system keeps shared memory. Default /dev/shm.
	Dir string
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.MaxRegions == 0 {
		c.MaxRegions = 1024
	}
	if c.Dir == "" {
		c.Dir = "/dev/shm"
	}
	return c
}

// Registry holds the regions.
type Registry struct {
	cfg     Config
	mu      sync.Mutex
	tenants map[string]map[string]*Region
}

// New makes an empty registry; cfg has its defaults filled.
func New(cfg Config) *Registry { return &Registry{cfg: cfg, tenants: map[string]map[string]*Region{}} }

// Region is a piece of shared memory under a name.
type Region struct {
	Name, Key string
	// Offset of the region in the memory object, and Size.
	Offset, Size uint64

	reg  *Registry
	file *os.File
	uses int // requests that use it; under Registry.mu
}

// Bounds on what clients name.
const (
	maxName = 255
	maxSize = math.MaxInt64 / 4
)

// allowed refuses every call where the extension is off.
func (r *Registry) allowed() error {
	if !r.cfg.Allow {
		return api.Errorf(api.CodeUnsupported, "shared memory is not supported by this server: it is off, --allow-client-shm turns it on")
	}
	return nil
}

// Register opens a memory object and makes a part of it a region.
func (r *Registry) Register(tenant, name, key string, offset, size uint64) error {
	if err := r.allowed(); err != nil {
		return err
	}
	if name == "" || len(name) > maxName {
		return api.Errorf(api.CodeParameterInvalid, "a shared memory region's name has %d bytes, expected 1 to %d", len(name), maxName)
	}
	if size == 0 || offset > maxSize || size > maxSize {
		return api.Errorf(api.CodeSharedMemoryRange, "shared memory region '%s': got offset %d and byte_size %d, expected a size above 0", name, offset, size)
	}
	file, err := r.open(name, key)
	if err != nil {
		return err
	}
	st, err := file.Stat()
	if err == nil && (!st.Mode().IsRegular() || offset+size > uint64(st.Size())) {
		_ = file.Close()
		return api.Errorf(api.CodeSharedMemoryRange, "shared memory region '%s': offset %d and byte_size %d lie outside of the shared memory with key '%s'", name, offset, size, key)
	}
	if err == nil {
		err = r.add(tenant, &Region{Name: name, Key: key, Offset: offset, Size: size, reg: r, file: file})
	}
	if err != nil {
		_ = file.Close()
	}
	return err
}

// open opens the memory object of a key, which is a plain name with a slash in front.
func (r *Registry) open(name, key string) (*os.File, error) {
	plain := strings.TrimPrefix(key, "/")
	unknown := api.Errorf(api.CodeSharedMemoryUnknown, "shared memory region '%s': there is no shared memory with key '%s' that this server may use", name, key)
	if plain == "" || plain == "." || plain == ".." || len(plain) > maxName || strings.ContainsAny(plain, "/\x00") || !strings.HasPrefix(plain, r.cfg.Prefix) {
		return nil, unknown
	}
	f, err := os.OpenFile(filepath.Join(r.cfg.Dir, plain), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // without the path
		}
		return nil, api.Wrap(api.CodeSharedMemoryUnknown, err, "%s", unknown.Message())
	}
	return f, nil
}

func (r *Registry) add(tenant string, g *Region) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.tenants[tenant]
	if all[g.Name] != nil {
		return api.Errorf(api.CodeSharedMemoryExists, "shared memory region '%s' already in manager", g.Name)
	}
	if len(all) >= r.cfg.MaxRegions {
		return api.Errorf(api.CodeOutOfMemory, "shared memory region '%s': %d regions are registered, the most that there may be", g.Name, len(all))
	}
	if all == nil {
		all = map[string]*Region{}
		r.tenants[tenant] = all
	}
	all[g.Name] = g
	return nil
}

// Unregister drops a region, or with an empty name all of the tenant's. One that requests use
// stays, with all others of the call.
func (r *Registry) Unregister(tenant, name string) error {
	if err := r.allowed(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.tenants[tenant]
	var gone []*Region
	for _, g := range all {
		if name == "" || g.Name == name {
			if g.uses > 0 {
				return api.Errorf(api.CodeSharedMemoryInUse, "shared memory region '%s' is used by %d requests in flight", g.Name, g.uses)
			}
			gone = append(gone, g)
		}
	}
	for _, g := range gone {
		delete(all, g.Name)
		_ = g.file.Close()
	}
	if len(all) == 0 {
		delete(r.tenants, tenant)
	}
	return nil
}

// Status lists a tenant's regions by name, or with a name the one.
func (r *Registry) Status(tenant, name string) ([]*Region, error) {
	if err := r.allowed(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*Region
	for _, g := range r.tenants[tenant] {
		if name == "" || g.Name == name {
			out = append(out, g)
		}
	}
	if name != "" && len(out) == 0 {
		return nil, unknownRegion(name)
	}
	slices.SortFunc(out, func(a, b *Region) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func unknownRegion(name string) error {
	return api.Errorf(api.CodeSharedMemoryUnknown, "Unable to find shared memory region: '%s'", name)
}

// Acquire takes a reference for a request, to be given back with Release.
func (r *Registry) Acquire(tenant, name string) (*Region, error) {
	if err := r.allowed(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.tenants[tenant][name]
	if g == nil {
		return nil, unknownRegion(name)
	}
	g.uses++
	return g, nil
}

// Release gives a reference back.
func (g *Region) Release() {
	g.reg.mu.Lock()
	defer g.reg.mu.Unlock()
	if g.uses--; g.uses < 0 {
		panic("BUG: a shared memory region is released twice")
	}
}

// within checks that a part lies in the region.
func (g *Region) within(offset, size uint64) error {
	if offset > g.Size || size > g.Size-offset {
		return api.Errorf(api.CodeSharedMemoryRange, "Invalid offset + byte size for shared memory region: '%s' has %d bytes, got offset %d and byte size %d", g.Name, g.Size, offset, size)
	}
	return nil
}

// Read fills b from the region.
func (g *Region) Read(b []byte, offset uint64) error {
	if err := g.within(offset, uint64(len(b))); err != nil {
		return err
	}
	if _, err := g.file.ReadAt(b, int64(g.Offset+offset)); err != nil && !(err == io.EOF && len(b) == 0) {
		return api.Wrap(api.CodeSharedMemoryRange, err, "shared memory region '%s' can't be read: its memory was made smaller", g.Name)
	}
	return nil
}

// Write puts b into the region.
func (g *Region) Write(b []byte, offset uint64) error {
	if err := g.within(offset, uint64(len(b))); err != nil {
		return err
	}
	// Writing beyond its end would make the file grow: it must be as large as it was.
	if st, err := g.file.Stat(); err != nil || g.Offset+offset+uint64(len(b)) > uint64(st.Size()) {
		return api.Wrap(api.CodeSharedMemoryRange, err, "shared memory region '%s' can't be written: its memory was made smaller", g.Name)
	}
	if _, err := g.file.WriteAt(b, int64(g.Offset+offset)); err != nil {
		return api.Wrap(api.CodeSharedMemoryRange, err, "shared memory region '%s' can't be written", g.Name)
	}
	return nil
}

// Close drops every region; no request may be in flight.
func (r *Registry) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, all := range r.tenants {
		for _, g := range all {
			_ = g.file.Close()
		}
	}
	clear(r.tenants)
}
