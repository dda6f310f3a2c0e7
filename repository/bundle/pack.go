package bundle

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
)

// Source says which files on disk make a bundle.
type Source struct {
	Model string
	// files maps paths in the bundle to paths on disk.
	files map[string]string
}

// Add takes a file on disk into the bundle under a path there.
func (s *Source) Add(path, disk string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if s.files == nil {
		s.files = map[string]string{}
	}
	s.files[path] = disk
	return nil
}

// FromRepository lists the files of a version in a model's folder of a repository, and
// those beside its versions. Names with a dot in front are left out.
func FromRepository(modelDir, model string, version int64) (*Source, error) {
	s := &Source{Model: model}
	if err := s.addFolder(filepath.Join(modelDir, strconv.FormatInt(version, 10)), VersionFolder, false); err != nil {
		return nil, err
	}
	return s, s.addFolder(modelDir, ModelFolder, true)
}

// FromPath lists the files of a version that lies anywhere: one model file, a version's
// folder (with a config.pbtxt in it, which belongs beside the versions), or a model's
// folder of a repository, whose newest version is taken.
func FromPath(path, model string) (*Source, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := &Source{Model: model}
	if !st.IsDir() {
		return s, s.Add(VersionFolder+config.ModelFile, path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	newest := int64(0)
	for _, e := range entries {
		if n, ok := config.ParseVersion(e.Name()); ok {
			newest = max(newest, n)
		}
	}
	if newest > 0 {
		return FromRepository(path, model, newest)
	}
	if err := s.addFolder(path, VersionFolder, false); err != nil {
		return nil, err
	}
	if c := s.files[VersionFolder+config.FileName]; c != "" {
		delete(s.files, VersionFolder+config.FileName)
		s.files[ModelFolder+config.FileName] = c
	}
	return s, nil
}

// addFolder takes in what lies below a folder, links followed; with versions left out
// where it is a model's.
func (s *Source) addFolder(dir, prefix string, skipVersions bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if _, isVersion := config.ParseVersion(name); strings.HasPrefix(name, ".") || skipVersions && isVersion {
			continue
		}
		disk := filepath.Join(dir, name)
		st, err := os.Stat(disk)
		switch {
		case err != nil:
			return err
		case st.IsDir():
			err = s.addFolder(disk, prefix+name+"/", false)
		case st.Mode().IsRegular():
			err = s.Add(prefix+name, disk)
		}
		if err != nil {
			return err
		}
		if len(s.files) > maxFiles {
			return api.Errorf(api.CodeBundleTooLarge, "there are more than %d files", maxFiles)
		}
	}
	return nil
}

// Manifest hashes the files. They are read again by Pack.
func (s *Source) Manifest() (*Manifest, error) {
	m := &Manifest{Format: Format, Model: s.Model}
	for path, disk := range s.files {
		f, err := os.Open(disk)
		if err != nil {
			return nil, err
		}
		h := sha256.New()
		n, err := io.Copy(h, f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		m.Files = append(m.Files, File{Path: path, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))})
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return parse(b, Limits{}.WithDefaults())
}

// Pack writes the bundle. It fails if a file changes while it does.
func (s *Source) Pack(w io.Writer) (*Manifest, error) {
	m, err := s.Manifest()
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	// One encoder goroutine, so that equal files give equal bytes.
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	err = s.write(t, m)
	return m, errors.Join(err, t.Close(), z.Close(), out.Flush())
}

func (s *Source) write(t *tar.Writer, m *Manifest) error {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	entry := func(name string, size int64) error {
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644})
	}
	if err := entry(ManifestName, int64(len(text))); err != nil {
		return err
	}
	if _, err := t.Write(text); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := entry(f.Path, f.Size); err != nil {
			return err
		}
		if err := s.copy(t, f); err != nil {
			return fmt.Errorf("packing %s: %w", f.Path, err)
		}
	}
	return nil
}

func (s *Source) copy(t io.Writer, f File) error {
	in, err := os.Open(s.files[f.Path])
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(t, h), in, f.Size); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return errors.New("the file changed while it was packed")
	}
	return nil
}
