package repository

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx"
)

// maxFile bounds what is read of a model's folder besides the model.
const maxFile = 64 << 20

// folder is where a model's files are: on disk, or in the memory of a load request.
type folder interface {
	// read gives a whole file by its slash-separated path.
	read(name string) ([]byte, error)
	// versions lists, rising, the versions that have the model file; with "" as its name,
	// every version folder.
	versions(file string) ([]int64, error)
	// open opens the model file of a version, in whichever form it rests there.
	open(o opener, version int64, file string) (*runtime.Model, error)
	// signed verifies the version's signature by one of the trusted keys.
	signed(version int64, trusted []ed25519.PublicKey) error
	// stamp changes when the files of a version change (0: those of the model outside of
	// its versions).
	stamp(version int64) string
	// digest is a hash of the names and contents of a version's files.
	digest(version int64) (string, error)
}

// diskFolder is a folder by its path.
type diskFolder string

func (d diskFolder) read(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(filepath.Join(string(d), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	return b, err
}

func (d diskFolder) versions(file string) ([]int64, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, e := range entries {
		n, ok := config.ParseVersion(e.Name())
		if !ok {
			continue
		}
		for _, form := range forms(file) {
			st, err := os.Stat(filepath.Join(string(d), e.Name(), form))
			if err == nil && (file == "" && st.IsDir() || file != "" && st.Mode().IsRegular()) {
				out = append(out, n)
				break
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

func (d diskFolder) open(o opener, version int64, file string) (*runtime.Model, error) {
	return o.open(filepath.Join(string(d), strconv.FormatInt(version, 10)), file)
}

func (d diskFolder) signed(version int64, trusted []ed25519.PublicKey) error {
	return seal.Verify(os.DirFS(filepath.Join(string(d), strconv.FormatInt(version, 10))), trusted)
}

// maxStamped bounds the files that a stamp looks at.
const maxStamped = 10000

func (d diskFolder) stamp(version int64) string {
	var b strings.Builder
	b.WriteString("disk;")
	seen := 0
	top := string(d)
	if version != 0 {
		top = filepath.Join(top, strconv.FormatInt(version, 10))
	}
	// Symbolic links are followed: whole folders are often put in place by one.
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if _, isVersion := config.ParseVersion(e.Name()); version == 0 && depth == 0 && isVersion {
				continue
			}
			p := filepath.Join(dir, e.Name())
			st, err := os.Stat(p)
			if seen++; err != nil || seen > maxStamped {
				continue
			}
			if st.IsDir() {
				if depth < 3 {
					walk(p, depth+1)
				}
				continue
			}
			fmt.Fprintf(&b, "%s:%d:%d;", p, st.Size(), st.ModTime().UnixNano())
		}
	}
	walk(top, 0)
	return b.String()
}

func (d diskFolder) digest(version int64) (string, error) {
	h := sha256.New()
	top := filepath.Join(string(d), strconv.FormatInt(version, 10))
	err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		rel, _ := filepath.Rel(top, p)
		st, err := f.Stat()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %d\n", filepath.ToSlash(rel), st.Size())
		_, err = io.Copy(h, f)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// Override replaces a model's configuration, and if it has files also its folder, until
// the next load without one or the next unload.
type Override struct {
	// Config is the configuration as JSON.
	Config []byte
	// Files are by path in the model's folder: "1/model.onnx". They need a Config.
	Files map[string][]byte
}

// check refuses what no folder could be.
func (o *Override) check() error {
	if len(o.Config) == 0 && len(o.Files) > 0 {
		return api.Errorf(api.CodeParameterInvalid, "files are given without a config")
	}
	for name := range o.Files {
		parts := strings.Split(name, "/")
		if slices.ContainsFunc(parts, func(s string) bool { return !config.ValidName(s) }) {
			return api.Errorf(api.CodeParameterInvalid, "got the file path '%s', expected one such as '1/model.onnx' of letters, digits and . _ -", name)
		}
	}
	return nil
}

// memFolder is a folder made of an override's files.
type memFolder map[string][]byte

func (m memFolder) read(name string) ([]byte, error) {
	if b, ok := m[name]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (m memFolder) versions(file string) ([]int64, error) {
	seen := map[int64]bool{}
	var out []int64
	for name := range m {
		first, rest, _ := strings.Cut(name, "/")
		if n, ok := config.ParseVersion(first); ok && !seen[n] && (file == "" || file == rest) {
			seen[n] = true
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m memFolder) open(o opener, version int64, file string) (*runtime.Model, error) {
	dir := strconv.FormatInt(version, 10)
	b, ok := m[path.Join(dir, file)]
	if !ok {
		return nil, fs.ErrNotExist
	}
	beside := map[string][]byte{}
	for name, data := range m {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			beside[rest] = data
		}
	}
	return o.engine.ReadAt(onnx.Memory{Bytes: b, Files: beside}, o.at)
}

// signed refuses: what a request brings has passed nobody who signs.
func (m memFolder) signed(int64, []ed25519.PublicKey) error {
	return fmt.Errorf("%w: the files came with the request", seal.ErrSignature)
}

func (m memFolder) digest(version int64) (string, error) {
	h := sha256.New()
	prefix := strconv.FormatInt(version, 10) + "/"
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if rel, ok := strings.CutPrefix(name, prefix); ok {
			fmt.Fprintf(h, "%q %d\n", rel, len(m[name]))
			h.Write(m[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// stamp is empty, which is equal to none: each load of given files is a new one.
func (m memFolder) stamp(int64) string { return "" }

// isModel reports whether a folder looks like a model's: it has a configuration or a
// version. Others are none of our business.
func (d diskFolder) isModel() bool {
	if _, err := os.Stat(filepath.Join(string(d), config.FileName)); err == nil {
		return true
	}
	v, err := d.versions("")
	return err == nil && len(v) > 0
}

// onDisk lists the models' folders by name, sorted, and names that can't be a model's.
func (r *Repository) onDisk() (names, bad []string, err error) {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		name := e.Name()
		d := r.folderOf(name)
		if st, err := os.Stat(string(d)); err != nil || !st.IsDir() || strings.HasPrefix(name, ".") || !d.isModel() {
			continue
		}
		if !config.ValidName(name) {
			bad = append(bad, name)
			continue
		}
		names = append(names, name)
	}
	return names, bad, nil
}

func (r *Repository) folderOf(name string) diskFolder {
	return diskFolder(filepath.Join(r.cfg.Dir, name))
}

// exists reports whether a model's folder is there; an error other than absence counts
// as there, for the load to report.
func (d diskFolder) exists() bool {
	_, err := os.Stat(string(d))
	return !errors.Is(err, fs.ErrNotExist)
}
