package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/bundle"
)

// Stage is a folder in which a version is made. Close removes it.
type Stage struct {
	// Dir is the folder's path, Root the same to write through.
	Dir  string
	Root *os.Root
	lock *os.File
}

// Close removes what is left of the stage.
func (s *Stage) Close() error {
	return errors.Join(s.Root.Close(), os.RemoveAll(s.Dir), os.RemoveAll(s.Dir+lockSuffix), s.lock.Close())
}

const lockSuffix = ".lock"

// Stage implements Storage.
func (d *Directory) Stage() (*Stage, error) {
	top, err := d.makeDir("staging")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(top, "v-*")
	if err != nil {
		return nil, bundle.WriteError(err)
	}
	lock, err := lockFile(dir+lockSuffix, true)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		lock.Close()
		return nil, bundle.WriteError(err)
	}
	return &Stage{Dir: dir, Root: root, lock: lock}, nil
}

// Publish implements Storage. The stage holds a model's folder, named after it, with the
// version's folder in it, synced. A model that is new comes with all of that folder, one
// that is there gets the version alone.
func (d *Directory) Publish(s *Stage, model string, version int64) error {
	l, err := d.lock()
	if err != nil {
		return err
	}
	defer l.Close()
	number := strconv.FormatInt(version, 10)
	place := filepath.Join(d.cfg.Dir, model)
	from := filepath.Join(s.Dir, model)
	known, err := holdsModel(place)
	if err != nil {
		return bundle.WriteError(err)
	}
	if known {
		place, from = filepath.Join(place, number), filepath.Join(from, number)
		if _, err := os.Lstat(place); err == nil {
			return api.Errorf(api.CodeVersionExists, "model '%s' has a version %d already", model, version)
		}
	}
	// A folder that another program made meanwhile is not replaced unless it is empty.
	if err := os.Rename(from, place); err != nil {
		if errors.Is(err, fs.ErrExist) || !errors.Is(err, fs.ErrNotExist) && isThere(place) {
			return api.Errorf(api.CodeVersionExists, "version %d of model '%s' appeared meanwhile", version, model)
		}
		return bundle.WriteError(err)
	}
	return syncDir(filepath.Dir(place))
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// holdsModel reports whether a model's folder has anything in it.
func holdsModel(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// Packed is a bundle to download.
type Packed struct {
	*os.File
	Size   int64
	SHA256 string
}

// Packed implements Storage.
func (d *Directory) Packed(model string, version int64, stamp string, pack func(io.Writer) error) (*Packed, error) {
	sum := sha256.Sum256([]byte(stamp))
	prefix := slotName(model, version) + "-"
	name := prefix + hex.EncodeToString(sum[:8]) + "-"
	d.packing.Lock()
	defer d.packing.Unlock()
	dir, err := d.makeDir("bundles")
	if err != nil {
		return nil, err
	}
	if list, _ := filepath.Glob(filepath.Join(dir, name+"*")); len(list) > 0 {
		if p, err := openPacked(list[0]); err == nil {
			now := time.Now()
			_ = os.Chtimes(list[0], now, now) // the least recently used one goes first
			return p, nil
		}
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return nil, bundle.WriteError(err)
	}
	defer os.Remove(tmp.Name())
	h := sha256.New()
	err = pack(io.MultiWriter(&writer{tmp}, h))
	var disk *diskError
	if errors.As(err, &disk) {
		err = disk.error
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return nil, bundle.WriteError(err)
	}
	place := filepath.Join(dir, name+hex.EncodeToString(h.Sum(nil)))
	if err := os.Rename(tmp.Name(), place); err != nil {
		return nil, bundle.WriteError(err)
	}
	p, err := openPacked(place)
	if err != nil {
		return nil, bundle.WriteError(err)
	}
	d.trim(dir, prefix, filepath.Base(place))
	return p, nil
}

func openPacked(path string) (*Packed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Packed{File: f, Size: st.Size(), SHA256: path[strings.LastIndexByte(path, '-')+1:]}, nil
}

// trim removes older bundles of the same version, and the least recently used ones of
// others beyond the bound. Downloads under way keep theirs open.
func (d *Directory) trim(dir, prefix, keep string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var rest []fs.FileInfo
	var total int64
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if e.Name() != keep && strings.HasPrefix(e.Name(), prefix) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
			continue
		}
		total += st.Size()
		if e.Name() != keep {
			rest = append(rest, st)
		}
	}
	sort.Slice(rest, func(i, j int) bool { return rest[i].ModTime().Before(rest[j].ModTime()) })
	for _, st := range rest {
		if total <= d.cfg.PackedBytes {
			return
		}
		total -= st.Size()
		_ = os.Remove(filepath.Join(dir, st.Name()))
	}
}

// staleUpload is how long an upload waits for its next piece.
const staleUpload = 7 * 24 * time.Hour

// Clean removes what processes that were killed left behind, and uploads that nobody
// goes on with. What is in use is locked and stays.
func (d *Directory) Clean() {
	free := func(lock string, remove ...string) {
		l, err := lockFile(lock, false)
		if err != nil {
			return
		}
		defer l.Close()
		for _, path := range remove {
			_ = os.RemoveAll(path)
		}
	}
	locks, _ := filepath.Glob(d.path("staging", "*"+lockSuffix))
	for _, lock := range locks {
		free(lock, strings.TrimSuffix(lock, lockSuffix), lock)
	}
	d.cleanTemporary()
	uploads, _ := filepath.Glob(d.path("uploads", "*"))
	for _, dir := range uploads {
		data := filepath.Join(dir, "data")
		if st, err := os.Stat(data); err == nil && time.Since(st.ModTime()) > staleUpload {
			free(data, dir)
		}
	}
}

// staleTemporary is beyond any time that writing a file takes.
const staleTemporary = 24 * time.Hour

// cleanTemporary removes unfinished files, and stages whose process died before it locked
// them.
func (d *Directory) cleanTemporary() {
	for _, pattern := range []string{d.path("bundles", ".new-*"), d.path("releases", ".new-*"), d.path("origins", ".new-*"), d.path("uploads", "*", ".new-*"), d.path("staging", "v-*")} {
		list, _ := filepath.Glob(pattern)
		for _, path := range list {
			if st, err := os.Stat(path); err == nil && time.Since(st.ModTime()) > staleTemporary && !isThere(path+lockSuffix) {
				_ = os.RemoveAll(path)
			}
		}
	}
}
