package service

import (
	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train/features"
)

// Drift is a version's drift as the API shows it.
type Drift struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	features.Drift
}

// Drift tells how far what a version was asked lately is from its training data.
func (s *Service) Drift(name, version []byte) (*Drift, error) {
	v, err := s.Resolve(name, version)
	if err != nil {
		return nil, err
	}
	defer v.Done()
	if v.Features == nil {
		return nil, api.Errorf(api.CodeDriftUnavailable, "model '%s' version %s has no %s, or its feature_policy is off", v.Model, v.VersionText, features.FileName)
	}
	return &Drift{Model: v.Model, Version: v.VersionText, Drift: v.Features.Drift()}, nil
}
