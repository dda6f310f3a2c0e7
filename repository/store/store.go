// Package store keeps what a repository has beside its models: uploads under way,
// versions about to be published, packed bundles, and each model's release state.
//
// A Directory keeps it in the repository's own folder, below .aimass, so that moving a
// finished version to its place is one rename:
//
//	.aimass/lock                      held while a version is published or a state changes
//	.aimass/uploads/M@V/data, meta    a bundle of which the first bytes are there
//	.aimass/staging/ID/               a version that is being unpacked and checked
//	.aimass/bundles/M@V-STAMP-SHA     packed for downloads
//	.aimass/releases/M.json           release state
//	.aimass/origins/M@V.json          where a version comes from
//
// Whatever kills the process, a version is there whole or not at all: its files and
// folders are synced before the rename and the folder above after it.
//
// Neighbours: repository/bundle above files, server/control above all of it.
//
// Concurrency: everything is safe for concurrent use, by several processes too: changes
// are made under a lock of the file system.
//
// Errors have codes of package api; disk_full where there is no room.
package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/bundle"
)

// Folder is the name of what a Directory keeps, below the repository's folder.
const Folder = ".aimass"

// Storage is where versions and what is decided about them are kept. Directory is the one
// that there is.
type Storage interface {
	// Append adds a piece to an upload.
	Append(model string, version int64, p Piece, r io.Reader) (Upload, error)
	// Upload tells of an upload under way; upload_not_found if there is none.
	Upload(model string, version int64) (Upload, error)
	// Drop forgets an upload.
	Drop(model string, version int64) error
	// Open reads a complete upload. No piece can be added until it is closed.
	Open(model string, version int64) (*os.File, error)
	// Stage gives a folder to make a version in.
	Stage() (*Stage, error)
	// Note keeps where a version comes from; Noted gives it, nil if nothing was noted. It is
	// kept apart from the version, of whose folder a signature covers every file.
	Note(model string, version int64, b []byte) error
	Noted(model string, version int64) []byte
	// Publish puts a version that was made in a Stage in its place.
	Publish(s *Stage, model string, version int64) error
	// Packed gives the bundle of a version, made by pack unless it is there already. stamp
	// changes when the version's files do.
	Packed(model string, version int64, stamp string, pack func(io.Writer) error) (*Packed, error)
	// State reads a model's release state, nil if it has none; stamp changes when it does.
	State(model string) (b []byte, stamp string, err error)
	// Update changes a model's release state: change gets the present one, and nobody else
	// changes it meanwhile. The new state is durable when it returns.
	Update(model string, change func(old []byte) ([]byte, error)) error
}

// Config of a Directory.
type Config struct {
	// Dir is the repository's folder.
	Dir string
	// PackedBytes bounds the bundles that are kept for further downloads. Default 16 GiB.
	PackedBytes int64
	// MaxUpload bounds an upload in bytes. Default 16 GiB.
	MaxUpload int64
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.PackedBytes == 0 {
		c.PackedBytes = 16 << 30
	}
	if c.MaxUpload == 0 {
		c.MaxUpload = 16 << 30
	}
	return c
}

// Directory is a Storage in a folder.
type Directory struct {
	cfg     Config
	packing sync.Mutex // bundles are packed one after the other
}

var _ Storage = (*Directory)(nil)

// New makes a Directory. Nothing is written before it is needed.
func New(cfg Config) *Directory { return &Directory{cfg: cfg.WithDefaults()} }

// path names something below Folder.
func (d *Directory) path(parts ...string) string {
	return filepath.Join(append([]string{d.cfg.Dir, Folder}, parts...)...)
}

// slotName names a version in one part of a path. Models' names hold no @.
func slotName(model string, version int64) string {
	return model + "@" + strconv.FormatInt(version, 10)
}

// makeDir makes a folder below Folder, and has it on disk.
func (d *Directory) makeDir(parts ...string) (string, error) {
	dir := d.path(parts...)
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", bundle.WriteError(err)
	}
	for up := dir; ; up = filepath.Dir(up) {
		if err := syncDir(filepath.Dir(up)); err != nil {
			return "", err
		}
		if up == d.path() {
			return dir, nil
		}
	}
}

// syncDir makes a folder's entries durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return bundle.WriteError(err)
	}
	defer f.Close()
	return bundle.WriteError(f.Sync())
}

// replace writes a file so that it has the old or the new content, whatever happens.
func replace(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return bundle.WriteError(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return bundle.WriteError(err)
	}
	return syncDir(filepath.Dir(path))
}

// lockFile opens a file and locks it against other processes and other callers of this
// one; closing it unlocks. Without wait it fails with errBusy where another holds it.
func lockFile(path string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, bundle.WriteError(err)
	}
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, api.Wrap(api.CodeStorageFailed, err, "the model repository can't be locked")
	}
	return f, nil
}

var errBusy = errors.New("locked by another")

// lock takes the lock on changes.
func (d *Directory) lock() (*os.File, error) {
	if _, err := d.makeDir(); err != nil {
		return nil, err
	}
	return lockFile(d.path("lock"), true)
}

// State implements Storage.
func (d *Directory) State(model string) ([]byte, string, error) {
	path := d.path("releases", model+".json")
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, "", api.Wrap(api.CodeStorageFailed, err, "the model's release file can't be read")
	}
	return b, stampOf(st), nil
}

func stampOf(st fs.FileInfo) string {
	inode := uint64(0)
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		inode = uint64(s.Ino)
	}
	return strconv.FormatInt(st.Size(), 10) + ":" + strconv.FormatInt(st.ModTime().UnixNano(), 10) + ":" + strconv.FormatUint(inode, 10)
}

// Note implements Storage.
func (d *Directory) Note(model string, version int64, b []byte) error {
	dir, err := d.makeDir("origins")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, slotName(model, version)+".json"), b)
}

// Noted implements Storage.
func (d *Directory) Noted(model string, version int64) []byte {
	b, err := os.ReadFile(d.path("origins", slotName(model, version)+".json"))
	if err != nil {
		return nil
	}
	return b
}

// Update implements Storage.
func (d *Directory) Update(model string, change func([]byte) ([]byte, error)) error {
	l, err := d.lock()
	if err != nil {
		return err
	}
	defer l.Close()
	old, _, err := d.State(model)
	if err != nil {
		return err
	}
	b, err := change(old)
	if err != nil {
		return err
	}
	dir, err := d.makeDir("releases")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, model+".json"), b)
}
