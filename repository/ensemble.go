package repository

import (
	"context"
	"slices"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
)

// loadSteps sees to it that the models of this server that an ensemble is made of serve:
// those that don't are loaded first. The turn on the ensemble is held.
func (r *Repository) loadSteps(ctx context.Context, name string, f *config.File) error {
	if !f.IsEnsemble() {
		return nil
	}
	steps, err := f.Steps()
	if err != nil {
		return err
	}
	// Loads of ensembles wait for each other's turns in the order of their steps, which a
	// cycle would make wait for ever.
	if path := r.cycle(name, steps, nil); path != nil {
		return api.Errorf(api.CodeConfigInvalid, "%v: the ensembles are made of each other: %s", f.At("ensemble_scheduling.step"), strings.Join(path, " → "))
	}
	for i := range steps {
		s := &steps[i]
		if s.Address != "" || r.Serving(s.Model, s.Version) != nil {
			continue
		}
		if err := r.Load(ctx, s.Model, nil); err != nil {
			return api.Errorf(api.CodeConfigInvalid, "%v: model '%s' can't be loaded: %s", f.At(s.Path("model_name")), s.Model, api.Message(err))
		}
		if s.Version > 0 && r.Serving(s.Model, s.Version) == nil {
			return api.Errorf(api.CodeConfigInvalid, "%v: model '%s' does not serve version %d", f.At(s.Path("model_version")), s.Model, s.Version)
		}
	}
	return nil
}

// cycle finds a way from an ensemble back to itself through the configurations on disk.
func (r *Repository) cycle(name string, steps []config.Step, path []string) []string {
	path = append(path, name)
	for i := range steps {
		s := &steps[i]
		if s.Address != "" {
			continue
		}
		if slices.Contains(path, s.Model) {
			return append(path, s.Model)
		}
		b, err := r.folderOf(s.Model).read(config.FileName)
		if err != nil {
			continue
		}
		f, err := config.Parse(b)
		if err != nil || !f.IsEnsemble() {
			continue
		}
		if inner, err := f.Steps(); err == nil {
			if found := r.cycle(s.Model, inner, path); found != nil {
				return found
			}
		}
	}
	return nil
}

// stepsOf lists the models of this server that the serving versions of an ensemble use and
// no other serving ensemble does.
func (r *Repository) stepsOf(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	uses := func(m *model) map[string]bool {
		out := map[string]bool{}
		for _, s := range m.slots {
			if s.serving == nil {
				continue
			}
			for i := range s.serving.Config.Steps {
				if st := &s.serving.Config.Steps[i]; st.Address == "" {
					out[st.Model] = true
				}
			}
		}
		return out
	}
	m := r.models[name]
	if m == nil {
		return nil
	}
	own := uses(m)
	for other, o := range r.models {
		if other != name {
			for used := range uses(o) {
				delete(own, used)
			}
		}
	}
	var out []string
	for used := range own {
		out = append(out, used)
	}
	slices.Sort(out)
	return out
}
