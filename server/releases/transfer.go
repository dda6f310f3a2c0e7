package releases

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/bundle"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/repository/store"
)

// Uploaded says how far an upload is.
type Uploaded struct {
	Model   string `json:"model"`
	Version int64  `json:"version"`
	// Offset is where the next piece begins, Size the length of the whole, −1 if unknown.
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
	// SHA256 is what the bundle has, or before it is complete what was stated of it.
	SHA256 string `json:"sha256,omitempty"`
	// Complete: the version is in its place. The rest is only set then.
	Complete bool `json:"complete"`
	// Config is kept where the model's configuration on the server differs from the
	// bundle's and stayed as it is.
	Config string `json:"config,omitempty"`
	// State of the version, and why it doesn't serve if it should.
	State  string `json:"state,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// What became of a bundle's configuration.
const (
	configNone = "none" // the bundle has none
	configNew  = "new"
	configSame = "same"
	configKept = "kept"
)

// Upload takes a piece of a version's bundle; the last one makes the version. With load
// it is loaded then. It takes no requests until it is promoted, unless the model is new.
func (r *Releases) Upload(ctx context.Context, model string, version int64, p store.Piece, body io.Reader, load bool, by By) (*Uploaded, error) {
	if err := checkTarget(model, version); err != nil {
		return nil, err
	}
	if done, err := r.exists(model, version, p, body); done != nil || err != nil {
		if done != nil && load {
			r.bring(ctx, done)
		}
		return done, err
	}
	u, err := r.repo.Storage().Append(model, version, p, body)
	if err != nil {
		return nil, err
	}
	out := &Uploaded{Model: model, Version: version, Offset: u.Offset, Size: u.Size}
	if !u.Complete() {
		return out, nil
	}
	m, err := r.publish(model, version, u, out, by)
	if err != nil {
		r.log.Warn("bundle refused", "model", model, "version", version, "request_id", by.RequestID, "code", string(api.CodeOf(err)), "error", err.Error())
		return nil, err
	}
	r.log.Info("version pushed", "model", model, "version", version, "request_id", by.RequestID, "sha256", out.SHA256, "files", len(m.Files), "bytes", m.Bytes(), "config", out.Config)
	if load {
		r.bring(ctx, out)
		return out, nil
	}
	state, reason := r.repo.State(model, version)
	out.State, out.Reason = state.String(), reason
	return out, nil
}

// bring loads a version that was pushed, and tells its state.
func (r *Releases) bring(ctx context.Context, out *Uploaded) {
	if err := r.load(ctx, out.Model, out.Version); err != nil {
		out.Reason = api.Message(err)
	}
	state, reason := r.repo.State(out.Model, out.Version)
	if out.State = state.String(); reason != "" {
		out.Reason = reason
	}
}

func checkTarget(model string, version int64) error {
	if !config.ValidName(model) {
		return api.Errorf(api.CodeModelNameInvalid, "got the model name '%.100s', expected letters, digits and . _ - with no dot in front", model)
	}
	if version <= 0 {
		return api.Errorf(api.CodeVersionInvalid, "got the version %d, expected a whole number above zero", version)
	}
	return nil
}

// exists refuses to send a version anew, unless it is the same bundle, by the SHA-256 that is
// stated or that a whole upload has: then a client that missed the answer is told so.
func (r *Releases) exists(model string, version int64, p store.Piece, body io.Reader) (*Uploaded, error) {
	have, err := r.repo.OnDisk(model)
	if err != nil && api.CodeOf(err) != api.CodeModelNotFound || !slices.Contains(have, version) {
		if api.CodeOf(err) == api.CodeModelNotFound {
			err = nil
		}
		return nil, err
	}
	o, sha := r.origin(model, version), p.SHA256
	if o != nil && sha == "" && p.Offset == 0 && p.Size >= 0 && p.Length == p.Size {
		h := sha256.New()
		if n, err := io.Copy(h, io.LimitReader(body, p.Size)); err == nil && n == p.Size {
			sha = hex.EncodeToString(h.Sum(nil))
		}
	}
	if o == nil || o.SHA256 != sha {
		return nil, api.Errorf(api.CodeVersionExists, "model '%s' has a version %d already; versions never change", model, version)
	}
	_ = r.repo.Storage().Drop(model, version) // left over, if the server died before it could
	v := r.version(model, version)
	return &Uploaded{Model: model, Version: version, Offset: max(0, p.Size), Size: p.Size, Complete: true, SHA256: o.SHA256, State: v.State, Reason: v.Reason}, nil
}

// publish makes a version of a complete upload. A bundle that is refused is forgotten;
// one that only met a full or broken disk stays, so that an empty last piece tries again.
func (r *Releases) publish(model string, version int64, u store.Upload, out *Uploaded, by By) (*bundle.Manifest, error) {
	storage := r.repo.Storage()
	f, err := storage.Open(model, version)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stage, err := storage.Stage()
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	m, err := r.unpack(f, u, stage, model, version, out)
	if err == nil {
		err = r.repo.Check(stagedModel(stage, model), model, version)
	}
	if err != nil {
		if c := api.CodeOf(err); c != api.CodeDiskFull && c != api.CodeStorageFailed && c != api.CodeOutOfMemory {
			_ = storage.Drop(model, version)
		}
		return nil, err
	}
	known := r.before(stage, model, out)
	if err := r.pin(model, known, by); err != nil {
		return nil, err
	}
	// Noted before the version is there: whoever sends the same bundle again, because the
	// server died in between, is told that it is.
	text, err := json.Marshal(origin{SHA256: out.SHA256, Bytes: m.Bytes(), Time: time.Now().UTC().Truncate(time.Millisecond)})
	if err == nil {
		err = storage.Note(model, version, text)
	}
	if err == nil {
		err = storage.Publish(stage, model, version)
	}
	if err != nil {
		return nil, err
	}
	err = r.change(model, func(s *release.State) error {
		s.Push(version, by.event())
		s.Pin(version, by.event())
		return nil
	})
	if err != nil {
		// The version is in its place; the history lacks a line.
		r.log.Error("the push can't be noted", "model", model, "version", version, "request_id", by.RequestID, "error", err.Error())
	}
	out.Complete = true
	return m, storage.Drop(model, version)
}

func stagedModel(s *store.Stage, model string) string {
	return s.Dir + string(os.PathSeparator) + model
}

// unpack unpacks and hashes the upload.
func (r *Releases) unpack(f *os.File, u store.Upload, stage *store.Stage, model string, version int64, out *Uploaded) (*bundle.Manifest, error) {
	h := sha256.New()
	all := io.TeeReader(f, h)
	dir := model + "/" + strconv.FormatInt(version, 10)
	m, err := bundle.Unpack(all, u.Size, stage.Root, model, dir, r.cfg.Limits)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, api.Wrap(api.CodeStorageFailed, err, "the upload can't be read")
	}
	if err := rename(stage, m.Model, model); err != nil {
		return nil, err
	}
	out.SHA256 = hex.EncodeToString(h.Sum(nil))
	if u.SHA256 != "" && u.SHA256 != out.SHA256 {
		return nil, api.Errorf(api.CodeBundleHashMismatch, "the bundle has the SHA-256 %s, stated was %s", out.SHA256, u.SHA256)
	}
	return m, nil
}

// rename makes the configuration of a bundle that goes under another name fit it: the
// line with the model's name, which may only be the folder's.
func rename(stage *store.Stage, from, to string) error {
	path := to + "/" + config.FileName
	b, err := stage.Root.ReadFile(path)
	if from == to || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return bundle.WriteError(err)
	}
	line := regexp.MustCompile(`(?m)^name\s*:\s*"` + regexp.QuoteMeta(from) + `"`)
	at := line.FindIndex(b)
	if at == nil {
		return nil
	}
	f, err := stage.Root.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return bundle.WriteError(err)
	}
	_, err = f.Write(slices.Concat(b[:at[0]], []byte(`name: "`+to+`"`), b[at[1]:]))
	return bundle.WriteError(errors.Join(err, f.Sync(), f.Close()))
}

// before looks at what the model has before the version comes: what serves, else its
// newest version, 0 for a new model; and compares configurations.
func (r *Releases) before(stage *store.Stage, model string, out *Uploaded) int64 {
	have, err := r.repo.OnDisk(model)
	theirs, terr := os.ReadFile(stagedModel(stage, model) + string(os.PathSeparator) + config.FileName)
	ours, oerr := r.repo.File(model, 0, config.FileName)
	switch {
	case errors.Is(terr, fs.ErrNotExist):
		out.Config = configNone
	case err != nil || len(have) == 0 && oerr != nil:
		out.Config = configNew
	case terr == nil && oerr == nil && string(theirs) == string(ours):
		out.Config = configSame
	default:
		out.Config = configKept
	}
	if n := r.newest(model); n != 0 {
		return n
	}
	if len(have) > 0 {
		return have[len(have)-1]
	}
	return 0
}

// pin makes what serves stable before a newer version appears, which would serve in its
// place.
func (r *Releases) pin(model string, version int64, by By) error {
	s, _, err := r.repo.Released(model)
	if err != nil || s.Stable != 0 || version == 0 {
		return err
	}
	return r.change(model, func(s *release.State) error {
		s.Pin(version, by.event())
		return nil
	})
}

// Progress tells how far an upload is.
func (r *Releases) Progress(model string, version int64) (*Uploaded, error) {
	if err := checkTarget(model, version); err != nil {
		return nil, err
	}
	u, err := r.repo.Storage().Upload(model, version)
	if err != nil {
		return nil, err
	}
	return &Uploaded{Model: model, Version: version, Offset: u.Offset, Size: u.Size, SHA256: u.SHA256}, nil
}

// Drop forgets an upload under way.
func (r *Releases) Drop(model string, version int64) error {
	if err := checkTarget(model, version); err != nil {
		return err
	}
	return r.repo.Storage().Drop(model, version)
}

// Download gives a version's bundle, to be closed.
func (r *Releases) Download(model, version string) (*store.Packed, int64, error) {
	n, err := r.Version(model, version)
	if err != nil {
		return nil, 0, err
	}
	source, stamp, err := r.repo.Bundle(model, n)
	if err != nil {
		return nil, 0, err
	}
	p, err := r.repo.Storage().Packed(model, n, stamp, func(w io.Writer) error {
		_, err := source.Pack(w)
		return err
	})
	return p, n, err
}
