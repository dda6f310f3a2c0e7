package repository

import (
	"context"
	"errors"
	"io/fs"
	"strconv"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/bundle"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/repository/store"
)

// Storage gives what keeps uploads and release states.
func (r *Repository) Storage() store.Storage { return r.cfg.Storage }

// Released reads what is decided about a model's versions; its stamp changes when that
// does.
func (r *Repository) Released(model string) (*release.State, string, error) {
	b, stamp, err := r.cfg.Storage.State(model)
	if err != nil {
		return nil, "", err
	}
	s, err := release.Decode(b)
	return s, stamp, err
}

// stampOf changes when anything of a model changes; "" if it isn't there.
func (r *Repository) stampOf(model string) string {
	stamp := r.folderOf(model).wholeStamp()
	if stamp == "" {
		return ""
	}
	_, released, err := r.cfg.Storage.State(model)
	if err != nil {
		released = err.Error()
	}
	return stamp + "release:" + released
}

// Refresh follows a change of what is decided about a model: versions that are wanted now
// are loaded, those that are not are retired. want, if not 0, is loaded besides, though
// nothing names it yet. A model that was unloaded stays so, unless a version is wanted.
func (r *Repository) Refresh(ctx context.Context, name string, want int64) error {
	if !config.ValidName(name) {
		return api.Errorf(api.CodeModelNameInvalid, "got the model name '%.100s', expected letters, digits and . _ - with no dot in front", name)
	}
	m, err := r.enter(ctx, name, true)
	if err != nil {
		return err
	}
	r.mu.Lock()
	unloaded, override := m.unloaded, m.override
	r.mu.Unlock()
	if !unloaded || want != 0 {
		err = r.load(ctx, m, override, want)
	}
	r.leaveSettled(ctx, m)
	return err
}

// OnDisk lists, rising, the versions that a model has on disk, loaded or not.
func (r *Repository) OnDisk(model string) ([]int64, error) {
	if !config.ValidName(model) {
		return nil, api.Errorf(api.CodeModelNameInvalid, "got the model name '%.100s', expected letters, digits and . _ - with no dot in front", model)
	}
	v, err := r.folderOf(model).versions("")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, api.Errorf(api.CodeModelNotFound, "there is no model '%s' in the repository", model)
	case err != nil:
		return nil, api.Wrap(api.CodeStorageFailed, err, "the model's folder can't be read")
	}
	return v, nil
}

// File reads a file of a version, or with version 0 of those beside the versions;
// fs.ErrNotExist if there is none.
func (r *Repository) File(model string, version int64, name string) ([]byte, error) {
	if !config.ValidName(model) {
		return nil, fs.ErrNotExist
	}
	if version != 0 {
		name = strconv.FormatInt(version, 10) + "/" + name
	}
	return r.folderOf(model).read(name)
}

// Bundle says what to pack of a version, and a stamp that changes when its files do.
func (r *Repository) Bundle(model string, version int64) (*bundle.Source, string, error) {
	d := r.folderOf(model)
	s, err := bundle.FromRepository(string(d), model, version)
	if err != nil {
		var coded *api.Error
		if errors.As(err, &coded) {
			return nil, "", err
		}
		return nil, "", api.Wrap(api.CodeStorageFailed, err, "the version's files can't be read")
	}
	return s, d.stamp(0) + d.stamp(version), nil
}

// Check opens a version in a folder that is no part of the repository yet, as a load
// would, and closes it again. dir is a model's folder; a configuration that the model has
// already counts before one there.
func (r *Repository) Check(dir, model string, version int64) (err error) {
	p := &plan{folder: diskFolder(dir), release: &release.State{}}
	text, err := r.folderOf(model).read(config.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		if versions, _ := r.folderOf(model).versions(""); len(versions) == 0 {
			text, err = p.folder.read(config.FileName)
		}
	}
	if err == nil {
		p.file, err = config.Parse(text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.unknownFields(model, p.file); err != nil {
		return err
	}
	if err := p.pick(r.log, version); err != nil {
		if api.CodeOf(err) == api.CodeModelVersionNotFound {
			return api.Errorf(api.CodeBundleIncomplete, "the bundle lacks the model's file: %s", api.Message(err))
		}
		return err
	}
	r.slots <- struct{}{} // as a load: it takes as much memory
	defer func() { <-r.slots }()
	v := &Version{Model: model, Number: version}
	defer func() {
		if err == nil {
			err = v.Runtime.Close()
			return
		}
		err = r.failed("load", model, version, err)
	}()
	defer r.guard(v, &err)
	return r.configure(v, p)
}
