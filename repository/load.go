package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native"
)

// LoadAll loads every model in the folder. One that fails is UNAVAILABLE with a reason
// and logged; the others serve. On demand, it loads none. The error is for the folder itself
// and for ctx.
func (r *Repository) LoadAll(ctx context.Context) error {
	names, bad, err := r.onDisk()
	if err != nil {
		return api.Wrap(api.CodeLoadFailed, err, "the model repository can't be read")
	}
	for _, name := range bad {
		r.log.Warn("folder ignored: its name is no model name", "folder", name)
	}
	if r.OnDemand() {
		return ctx.Err()
	}
	r.expect(names)
	r.each(names, func(name string) { _ = r.Load(ctx, name, nil) })
	r.memory.soon()
	return ctx.Err()
}

// expect makes models LOADING before their turn to load comes.
func (r *Repository) expect(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if r.models[name] == nil {
			r.models[name] = newModel(name)
			r.models[name].loading = true
		}
	}
}

// each calls f for the names, some at a time.
func (r *Repository) each(names []string, f func(string)) {
	var wg sync.WaitGroup
	tokens := make(chan struct{}, r.cfg.LoadParallel)
	for _, name := range names {
		tokens <- struct{}{}
		wg.Go(func() {
			defer func() { <-tokens }()
			f(name)
		})
	}
	wg.Wait()
}

// Load loads the versions of a model that its version policy names. What is loaded and
// has not changed stays as it is. Each version that loads is switched to at once; those
// that the policy no longer names leave when all others stand. The error is that of the
// first version that failed; for it, what served before still does.
func (r *Repository) Load(ctx context.Context, name string, override *Override) error {
	if !config.ValidName(name) {
		return api.Errorf(api.CodeModelNameInvalid, "got the model name '%.100s', expected letters, digits and . _ - with no dot in front", name)
	}
	m, err := r.enter(ctx, name, true)
	if err != nil {
		return err
	}
	err = r.load(ctx, m, override, 0)
	r.leaveSettled(ctx, m)
	return err
}

// leaveSettled leaves m and waits until what was replaced is gone: that is out of the
// served set in an instant, and only requests that go on for long are not waited for.
func (r *Repository) leaveSettled(ctx context.Context, m *model) {
	waits := r.leaving(m)
	r.leave(m)
	short, cancel := context.WithTimeout(ctx, r.grace)
	defer cancel()
	_ = wait(short, waits)
}

// plan is what one load has to do.
type plan struct {
	folder   folder
	file     *config.File
	config   string // its text
	stamp    string // of the configuration and what else lies outside of the versions
	versions []int64
	release  *release.State
}

// load does a load and logs its failure; the turn on m is held. want, if not 0, is a
// version to load besides those that the policy and the release name.
func (r *Repository) load(ctx context.Context, m *model, override *Override, want int64) error {
	err := r.loadVersions(ctx, m, override, want)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		r.log.Info("model load given up: the server stops, or whoever asked for it has gone", "model", m.name, "error", err.Error())
	default:
		r.log.Error("model load failed", "model", m.name, "code", string(api.CodeOf(err)), "error", err.Error())
	}
	return err
}

func (r *Repository) loadVersions(ctx context.Context, m *model, override *Override, want int64) error {
	stamp := r.stampOf(m.name)
	r.mu.Lock()
	m.loading, m.stamp = true, stamp
	r.mu.Unlock()
	p, err := r.plan(m.name, override, want)
	if err == nil {
		err = r.loadSteps(ctx, m.name, p.file)
	}
	if err != nil {
		err = r.failed("load", m.name, 0, err)
	}
	r.mu.Lock()
	m.loading = false
	switch {
	case err == nil:
		m.reason, m.override, m.unloaded = "", override, false
	case api.CodeOf(err) != api.CodeModelNotFound:
		m.reason = api.Message(err)
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if r.Serving(m.name, 0) == nil {
		// So that no version answers for the stable one because it is ready earlier.
		r.listener.Release(m.name, p.release)
	}
	var first error
	for _, n := range slices.Backward(p.versions) {
		if err := r.loadVersion(ctx, m, p, n); err != nil && first == nil {
			first = err
		}
	}
	if s := p.release.Stable; first == nil || s != 0 && r.Serving(m.name, s) != nil {
		r.listener.Release(m.name, p.release)
	}
	if first == nil {
		r.retireOthers(m, p.versions)
	}
	return first
}

// plan reads the configuration and picks the versions.
func (r *Repository) plan(name string, override *Override, want int64) (*plan, error) {
	p := &plan{folder: r.folderOf(name), release: &release.State{}}
	var err error
	if override != nil {
		if err := override.check(); err != nil {
			return nil, err
		}
	}
	if override != nil && len(override.Files) > 0 {
		p.folder, want = memFolder(override.Files), 0
	} else if !r.folderOf(name).exists() {
		return nil, api.Errorf(api.CodeModelNotFound, "there is no such model in the repository")
	} else if p.release, _, err = r.Released(name); err != nil {
		return nil, err
	}
	text, err := p.folder.read(config.FileName)
	switch {
	case override != nil && len(override.Config) > 0:
		text = override.Config
		p.file, err = config.ParseJSON(text)
	case err == nil:
		p.file, err = config.Parse(text)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	default:
		err = api.Wrap(api.CodeLoadFailed, err, "%s can't be read", config.FileName)
	}
	if err != nil {
		return nil, err
	}
	if err := r.unknownFields(name, p.file); err != nil {
		return nil, err
	}
	p.config = string(text)
	p.stamp = p.config + p.folder.stamp(0)
	return p, p.pick(r.log.With("model", name), want)
}

// unknownFields warns of them or, when strict, refuses them.
func (r *Repository) unknownFields(name string, f *config.File) error {
	if f == nil {
		return nil
	}
	for _, u := range f.Unknown {
		if r.cfg.StrictConfig {
			return api.Errorf(api.CodeConfigInvalid, "%v: there is no such field", u)
		}
		r.log.Warn("unknown field in the configuration ignored", "model", name, "field", u.Path, "line", u.Line)
	}
	return nil
}

// pick chooses the versions: those that the version policy, the release or the caller
// wants.
func (p *plan) pick(log *slog.Logger, want int64) error {
	backend, err := p.file.Backend()
	if err != nil {
		return err
	}
	file := ""
	if backend == config.BackendONNX {
		if file, err = p.file.ModelFile(); err != nil {
			return err
		}
	}
	have, err := p.folder.versions(file)
	if err != nil {
		return api.Wrap(api.CodeLoadFailed, err, "the model's folder can't be read")
	}
	if len(have) == 0 && backend != config.BackendONNX {
		have = []int64{1} // Go code and ensembles need no folder of their own
	}
	if len(have) == 0 {
		return api.Errorf(api.CodeModelVersionNotFound, "no version folder holds %s, expected one such as 1/%s", file, file)
	}
	var missing []int64
	p.versions, missing = p.file.Versions(have)
	if len(missing) > 0 {
		log.Warn("the version policy names versions that are not there", "versions", missing)
	}
	if len(p.versions) == 0 {
		return api.Errorf(api.CodeModelVersionNotFound, "the version policy names %v, and the folder has %v", missing, have)
	}
	if want != 0 && !slices.Contains(have, want) {
		return api.Errorf(api.CodeModelVersionNotFound, "there is no version %d, the folder has %v", want, have)
	}
	for _, n := range append(p.release.Versions(), want) {
		if !slices.Contains(p.versions, n) && slices.Contains(have, n) {
			p.versions = append(p.versions, n)
		}
	}
	slices.Sort(p.versions)
	return nil
}

// loadVersion loads one version and switches to it.
func (r *Repository) loadVersion(ctx context.Context, m *model, p *plan, n int64) error {
	stamp := ""
	if s := p.folder.stamp(n); s != "" {
		stamp = p.stamp + s
	}
	r.mu.Lock()
	s := m.slots[n]
	if s == nil {
		s = &slot{}
		m.slots[n] = s
	}
	if s.serving != nil && stamp != "" && s.serving.stamp == stamp {
		s.reason = ""
		r.mu.Unlock()
		return nil
	}
	s.begin()
	r.mu.Unlock()

	v, err := r.open(ctx, m.name, p, n)
	if err == nil {
		v.stamp = stamp
		if err = r.listener.Ready(v); err != nil {
			_ = v.Runtime.Close()
		}
	}
	if err != nil {
		err = r.failed("load", m.name, n, err)
		r.mu.Lock()
		s.fail(api.Message(err))
		r.mu.Unlock()
		return err
	}
	r.mu.Lock()
	old := s.install(v)
	r.mu.Unlock()
	r.announce(v)
	if old != nil {
		r.drain(s, old)
	}
	return nil
}

func (r *Repository) announce(v *Version) {
	owned, mapped := v.Runtime.WeightBytes()
	r.log.Info("model ready", "model", v.Model, "version", v.Number, "load_ms", v.LoadDuration.Milliseconds(), "warmup_ms", v.WarmupDuration.Milliseconds(),
		"max_batch", v.Config.MaxBatch, "batched", v.Config.Batched, "batch_reason", v.Config.BatchReason, "weights_owned", owned, "weights_mapped", mapped)
}

// open opens, configures and warms up a version, when its turn among all loads comes.
func (r *Repository) open(ctx context.Context, name string, p *plan, n int64) (_ *Version, err error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	began := time.Now()
	v := &Version{Model: name, Number: n}
	defer r.guard(v, &err)
	before := p.folder.stamp(n)
	if err := r.configure(v, p); err != nil {
		return nil, err
	}
	if err := r.digest(v, p, n); err != nil {
		return nil, err
	}
	v.LoadDuration = time.Since(began)
	err = r.warmUp(ctx, v, p.folder)
	if forged := v.Runtime.Verify(); forged != nil {
		return nil, openError(forged, "version "+strconv.FormatInt(n, 10))
	}
	if err != nil {
		return nil, err
	}
	v.Warm = !r.cfg.WarmupOff
	v.LoadedAt = time.Now()
	v.WarmupDuration = v.LoadedAt.Sub(began) - v.LoadDuration
	if p.folder.stamp(n) != before {
		return nil, api.Errorf(api.CodeLoadFailed, "its files changed while they were read, load it again")
	}
	return v, nil
}

// guard is deferred while a version is made: a model that brings the loader down must not
// take those that serve with it, and one that fails is closed.
func (r *Repository) guard(v *Version, err *error) {
	if x := recover(); x != nil {
		r.log.Error("the loader panicked", "model", v.Model, "version", v.Number, "panic", fmt.Sprint(x), "stack", string(debug.Stack()))
		*err = fmt.Errorf("the loader panicked: %v", x)
	}
	if *err != nil && v.Runtime != nil {
		_ = v.Runtime.Close()
	}
}

// configure opens a version and works out its configuration.
func (r *Repository) configure(v *Version, p *plan) (err error) {
	if v.Runtime, err = r.openRuntime(v.Model, p, v.Number); err != nil {
		return err
	}
	v.read = p.folder.read
	var notes []string
	v.Config, notes, err = config.Resolve(config.Source{Model: v.Model, File: p.file, Runtime: v.Runtime, Read: p.folder.read})
	for _, note := range notes {
		r.log.Warn("model configuration", "model", v.Model, "version", v.Number, "note", note)
	}
	return err
}

// digest gives a version with a model file its digest.
func (r *Repository) digest(v *Version, p *plan, n int64) error {
	if backend, err := p.file.Backend(); err != nil || !r.cfg.Digests || backend != config.BackendONNX {
		return err
	}
	files, err := p.folder.digest(n)
	if err != nil {
		return api.Wrap(api.CodeLoadFailed, err, "the version's files can't be read")
	}
	text := sha256.Sum256([]byte(p.config))
	v.Digest = files + hex.EncodeToString(text[:])
	return nil
}

// readBeside reads a file of a model's newest version on disk, else of the model's folder.
func (r *Repository) readBeside(model, file string) ([]byte, error) {
	if !config.ValidName(model) {
		return nil, fs.ErrNotExist
	}
	d := r.folderOf(model)
	versions, err := d.versions("")
	if err != nil {
		return nil, err
	}
	if n := len(versions); n > 0 {
		if b, err := d.read(path.Join(strconv.FormatInt(versions[n-1], 10), file)); err == nil {
			return b, nil
		}
	}
	return d.read(file)
}

// openRuntime opens the model file, or makes the native model.
func (r *Repository) openRuntime(name string, p *plan, n int64) (*runtime.Model, error) {
	backend, err := p.file.Backend()
	if err != nil {
		return nil, err
	}
	if trusted := r.cfg.Trusted; len(trusted) > 0 {
		if err := p.folder.signed(n, trusted); err != nil {
			return nil, openError(err, "version "+strconv.FormatInt(n, 10))
		}
	}
	if backend == config.BackendEnsemble {
		return p.file.EnsembleModel()
	}
	if backend == config.BackendNative {
		version := strconv.FormatInt(n, 10)
		m, err := r.engine.Native(p.file.NativeName(name), native.Source{
			Params: p.file.NativeParameters(),
			Read:   func(file string) ([]byte, error) { return p.folder.read(path.Join(version, file)) },
			Beside: r.readBeside,
		})
		if err == nil {
			return m, nil
		}
		var coded *api.Error
		if errors.As(err, &coded) {
			return nil, err
		}
		return nil, api.Errorf(api.CodeConfigInvalid, "%v: %w", p.file.At("parameters"), err)
	}
	file, err := p.file.ModelFile()
	if err != nil {
		return nil, err
	}
	at, err := p.file.Placement()
	if err != nil {
		return nil, err
	}
	m, err := p.folder.open(opener{r.engine, r.cfg.Keys, at}, n, file)
	if err != nil {
		return nil, openError(err, strconv.FormatInt(n, 10)+"/"+file)
	}
	return m, nil
}
