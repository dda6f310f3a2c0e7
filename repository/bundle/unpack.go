package bundle

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/api"
)

// maxWindow bounds the memory that a bundle can make its reader take.
const maxWindow = 64 << 20

// Bounds on how much more a bundle may unpack to than it has bytes: no weights pack
// like that, but a small file of zeros may.
const (
	maxRatio = 1000
	freeSize = 64 << 20
)

// Unpack reads a bundle of size bytes (−1 if unknown) into an empty folder: the files of
// the model in modelDir, those of the version in versionDir, both paths below root. Every
// file and folder is on disk, not only in memory, when it returns.
func Unpack(r io.Reader, size int64, root *os.Root, modelDir, versionDir string, limits Limits) (*Manifest, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, readError(err)
	}
	defer z.Close()
	u := &unpacker{tar: tar.NewReader(z), root: root, dirs: map[string]string{ModelFolder: modelDir, VersionFolder: versionDir}, made: map[string]bool{}}
	m, err := u.manifest(limits)
	if err != nil {
		return nil, err
	}
	if size >= 0 && m.Bytes() > max(freeSize, size*maxRatio) {
		return nil, api.Errorf(api.CodeBundleTooLarge, "the bundle has %d bytes and claims to unpack to %d, more than %d times as many", size, m.Bytes(), maxRatio)
	}
	for _, dir := range []string{modelDir, versionDir} {
		if err := u.mkdir(dir); err != nil {
			return nil, err
		}
	}
	for _, f := range m.Files {
		if err := u.file(f); err != nil {
			return nil, err
		}
	}
	if h, err := u.tar.Next(); err == nil {
		return nil, api.Errorf(api.CodeBundleInvalid, "the manifest doesn't list '%.200s'", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return nil, readError(err)
	}
	// A tar ends before its file does: what follows must be its padding.
	if err := onlyZeros(z); err != nil {
		return nil, err
	}
	for dir := range u.made {
		if err := u.syncDir(dir); err != nil {
			return nil, err
		}
	}
	return m, nil
}

type unpacker struct {
	tar  *tar.Reader
	root *os.Root
	dirs map[string]string
	made map[string]bool
}

// next finds the next entry, which must be a plain file of this name.
func (u *unpacker) next(name string) (*tar.Header, error) {
	h, err := u.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, api.Errorf(api.CodeBundleIncomplete, "the bundle ends before '%s'", name)
	case err != nil:
		return nil, readError(err)
	case h.Typeflag != tar.TypeReg:
		return nil, api.Errorf(api.CodeBundleInvalid, "'%.200s' is no plain file; links and devices are refused", h.Name)
	case h.Name != name:
		if err := checkPath(h.Name); err != nil && name != ManifestName {
			return nil, err
		}
		return nil, api.Errorf(api.CodeBundleInvalid, "got the entry '%.200s', expected '%s'", h.Name, name)
	}
	return h, nil
}

func (u *unpacker) manifest(limits Limits) (*Manifest, error) {
	h, err := u.next(ManifestName)
	if err != nil {
		return nil, err
	}
	if h.Size > maxManifest {
		return nil, api.Errorf(api.CodeBundleTooLarge, "%s has %d bytes, at most %d are allowed", ManifestName, h.Size, maxManifest)
	}
	b, err := io.ReadAll(u.tar)
	if err != nil {
		return nil, readError(err)
	}
	return parse(b, limits)
}

func (u *unpacker) file(f File) error {
	h, err := u.next(f.Path)
	if err != nil {
		return err
	}
	if h.Size != f.Size {
		return api.Errorf(api.CodeBundleInvalid, "'%s' has %d bytes, the manifest says %d", f.Path, h.Size, f.Size)
	}
	name := ""
	for prefix, dir := range u.dirs {
		if rest, ok := strings.CutPrefix(f.Path, prefix); ok {
			name = path.Join(dir, rest)
		}
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	out, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return WriteError(err)
	}
	sum := sha256.New()
	_, err = io.Copy(&splitErrors{w: out, hash: sum}, u.tar)
	var written *writeError
	switch {
	case errors.As(err, &written):
		err = WriteError(written.error)
	case err != nil:
		err = readError(err)
	default:
		if err = out.Sync(); err != nil {
			err = WriteError(err)
		}
	}
	if cerr := out.Close(); err == nil && cerr != nil {
		err = WriteError(cerr)
	}
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return api.Errorf(api.CodeBundleHashMismatch, "'%s' has the SHA-256 %s, the manifest says %s", f.Path, got, f.SHA256)
	}
	return nil
}

// splitErrors marks what goes wrong on the way to the disk, which io.Copy mixes with
// what goes wrong on the way from the bundle.
type splitErrors struct {
	w    io.Writer
	hash io.Writer
}

type writeError struct{ error }

func (s *splitErrors) Write(p []byte) (int, error) {
	s.hash.Write(p)
	n, err := s.w.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

func (u *unpacker) mkdir(dir string) error {
	if err := u.root.MkdirAll(dir, 0o755); err != nil {
		return WriteError(err)
	}
	for d := dir; !u.made[d]; d = path.Dir(d) {
		u.made[d] = true
	}
	return nil
}

func (u *unpacker) syncDir(dir string) error {
	f, err := u.root.Open(dir)
	if err != nil {
		return WriteError(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return WriteError(err)
	}
	return nil
}

// maxPadding bounds the zeros behind a tar: tools pad to a multiple of 10 KiB or more.
const maxPadding = 1 << 20

func onlyZeros(r io.Reader) error {
	b := make([]byte, 32<<10)
	for total := 0; ; {
		n, err := r.Read(b)
		for _, c := range b[:n] {
			if c != 0 {
				return api.Errorf(api.CodeBundleInvalid, "bytes follow the end of the bundle")
			}
		}
		if total += n; total > maxPadding {
			return api.Errorf(api.CodeBundleInvalid, "bytes follow the end of the bundle")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(err)
		}
	}
}

// readError gives what goes wrong while a bundle is read its code.
func readError(err error) error {
	var coded *api.Error
	var disk *fs.PathError
	switch {
	case errors.As(err, &coded):
		return err
	case errors.As(err, &disk):
		return api.Wrap(api.CodeStorageFailed, err, "the bundle can't be read from the disk")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return api.Errorf(api.CodeBundleIncomplete, "the bundle ends in the middle")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return api.Errorf(api.CodeBundleTooLarge, "the bundle needs more than %d bytes of memory to be unpacked", maxWindow)
	case errors.Is(err, zstd.ErrCRCMismatch):
		return api.Errorf(api.CodeBundleHashMismatch, "the bundle's checksum is wrong")
	}
	return api.Errorf(api.CodeBundleInvalid, "the bundle can't be read as zstd and tar: %v", err)
}

// WriteError gives what goes wrong on the disk its code: disk_full where there is no room
// or quota, else storage_failed. Errors that have a code keep it.
func WriteError(err error) error {
	var coded *api.Error
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return api.Wrap(api.CodeDiskFull, err, "the disk of the model repository is full")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return api.Wrap(api.CodeStorageFailed, err, "the server may not write to the model repository")
	}
	return api.Wrap(api.CodeStorageFailed, err, "the model repository can't be written")
}
