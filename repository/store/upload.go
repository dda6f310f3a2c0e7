package store

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/bundle"
)

// Piece says where a piece of an upload belongs.
type Piece struct {
	// Offset is where it begins. A piece at 0 begins the upload anew.
	Offset int64
	// Length is the piece's, −1 if it goes on to the end of what is sent.
	Length int64
	// Size is the length of the whole upload, −1 if unknown: then it ends with this piece.
	Size int64
	// SHA256 of the whole upload in hexadecimal digits, empty if it isn't stated.
	SHA256 string
	// Partial: Size is unknown, and this piece is not the last one.
	Partial bool
}

// Upload is one under way.
type Upload struct {
	// Offset is where the next piece begins.
	Offset int64 `json:"offset"`
	// Size is the length of the whole, −1 while it is unknown.
	Size int64 `json:"size"`
	// SHA256 is what was stated of the whole, or empty.
	SHA256 string `json:"sha256,omitempty"`
}

// Complete reports that all bytes are there.
func (u Upload) Complete() bool { return u.Size >= 0 && u.Offset == u.Size }

// meta is what the file of this name holds.
type meta struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Upload implements Storage.
func (d *Directory) Upload(model string, version int64) (Upload, error) {
	dir := d.path("uploads", slotName(model, version))
	b, err := os.ReadFile(filepath.Join(dir, "meta"))
	var m meta
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	var st fs.FileInfo
	if err == nil {
		st, err = os.Stat(filepath.Join(dir, "data"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Upload{}, api.Errorf(api.CodeUploadNotFound, "there is no upload of version %d of model '%s' under way", version, model)
	case err != nil:
		return Upload{}, api.Wrap(api.CodeStorageFailed, err, "the upload can't be read")
	}
	return Upload{Offset: st.Size(), Size: m.Size, SHA256: m.SHA256}, nil
}

// Append implements Storage. What has arrived of a piece that breaks off is kept.
func (d *Directory) Append(model string, version int64, p Piece, r io.Reader) (Upload, error) {
	if p.Size > d.cfg.MaxUpload || p.Offset > d.cfg.MaxUpload || p.Length > d.cfg.MaxUpload {
		return Upload{}, d.tooLarge()
	}
	dir, err := d.makeDir("uploads", slotName(model, version))
	if err != nil {
		return Upload{}, err
	}
	f, err := lockFile(filepath.Join(dir, "data"), false)
	if errors.Is(err, errBusy) {
		return Upload{}, api.Errorf(api.CodeUploadOffsetMismatch, "another piece of this upload is being received")
	}
	if err != nil {
		return Upload{}, err
	}
	defer f.Close()
	if !sameFile(f) {
		return Upload{}, api.Errorf(api.CodeUploadOffsetMismatch, "the upload was ended meanwhile, begin anew")
	}
	if err := d.begin(dir, f, model, version, &p); err != nil {
		return Upload{}, err
	}
	limit := d.cfg.MaxUpload + 1 - p.Offset
	if p.Size >= 0 {
		limit = p.Size + 1 - p.Offset
	}
	n, rerr := io.Copy(&writer{f}, io.LimitReader(r, limit))
	if over := n == limit; over {
		// Nothing is kept of a body that is longer than it was said to be.
		_ = f.Truncate(p.Offset)
		if p.Size >= 0 {
			return Upload{}, api.Errorf(api.CodeUploadOffsetMismatch, "more bytes came than the upload's %d", p.Size)
		}
		return Upload{}, d.tooLarge()
	}
	u := Upload{Offset: p.Offset + n, Size: p.Size, SHA256: p.SHA256}
	if rerr == nil && p.Length >= 0 && n < p.Length {
		rerr = io.ErrUnexpectedEOF
	}
	if rerr == nil && p.Size < 0 && !p.Partial {
		u.Size = u.Offset
		rerr = d.saveMeta(dir, u)
	}
	if serr := f.Sync(); serr != nil && rerr == nil {
		rerr = &diskError{serr}
	}
	return u, pieceError(rerr)
}

// sameFile reports that the file is still the one of its name.
func sameFile(f *os.File) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(f.Name())
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// begin checks that a piece fits behind those before it, f, and completes p from them.
func (d *Directory) begin(dir string, f *os.File, model string, version int64, p *Piece) error {
	if p.Offset == 0 {
		if err := f.Truncate(0); err != nil {
			return bundle.WriteError(err)
		}
		return d.saveMeta(dir, Upload{Size: p.Size, SHA256: p.SHA256})
	}
	u, err := d.Upload(model, version)
	if err != nil {
		return err
	}
	switch {
	case u.Offset != p.Offset:
		return api.Errorf(api.CodeUploadOffsetMismatch, "got a piece at byte %d, expected it at %d", p.Offset, u.Offset)
	case p.Size >= 0 && u.Size >= 0 && p.Size != u.Size:
		return api.Errorf(api.CodeUploadOffsetMismatch, "got a piece of an upload of %d bytes, expected one of %d", p.Size, u.Size)
	case p.SHA256 != "" && p.SHA256 != u.SHA256:
		return api.Errorf(api.CodeUploadOffsetMismatch, "got a piece of an upload with another SHA-256 than the pieces before")
	}
	p.Size, p.SHA256 = max(p.Size, u.Size), u.SHA256
	if _, err := f.Seek(p.Offset, io.SeekStart); err != nil {
		return bundle.WriteError(err)
	}
	return nil
}

func (d *Directory) saveMeta(dir string, u Upload) error {
	b, err := json.Marshal(meta{u.Size, u.SHA256})
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, "meta"), b)
}

func (d *Directory) tooLarge() error {
	return api.Errorf(api.CodeBundleTooLarge, "the bundle has more than %d bytes; --max-bundle-size raises the limit", d.cfg.MaxUpload)
}

// writer marks what goes wrong at the disk, which io.Copy mixes with the network.
type writer struct{ f *os.File }

type diskError struct{ error }

func (w *writer) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = &diskError{err}
	}
	return n, err
}

// pieceError gives the failure of a piece its code.
func pieceError(err error) error {
	var disk *diskError
	var coded *api.Error
	switch {
	case err == nil, errors.As(err, &coded):
		return err
	case errors.As(err, &disk):
		return bundle.WriteError(disk.error)
	}
	return api.Wrap(api.CodeMalformedRequest, err, "the piece ends in the middle; the upload goes on from its offset")
}

// Open implements Storage.
func (d *Directory) Open(model string, version int64) (*os.File, error) {
	f, err := lockFile(d.path("uploads", slotName(model, version), "data"), false)
	if errors.Is(err, errBusy) {
		return nil, api.Errorf(api.CodeUploadOffsetMismatch, "another call works on this upload")
	}
	return f, err
}

// Drop implements Storage.
func (d *Directory) Drop(model string, version int64) error {
	if _, err := d.Upload(model, version); err != nil {
		return err
	}
	if err := os.RemoveAll(d.path("uploads", slotName(model, version))); err != nil {
		return bundle.WriteError(err)
	}
	return nil
}
