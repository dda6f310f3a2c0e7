package service

import (
	"context"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
)

// RepositoryIndex lists the models known, or only those that are ready.
func (s *Service) RepositoryIndex(repository string, readyOnly bool) (*inferencepb.RepositoryIndexResponse, error) {
	if err := oneRepository(repository); err != nil {
		return nil, err
	}
	r := &inferencepb.RepositoryIndexResponse{}
	for _, m := range s.control.Index() {
		if !readyOnly || m.State == "READY" {
			r.Models = append(r.Models, m)
		}
	}
	return r, nil
}

// filePrefix marks a parameter of a load that holds a file.
const filePrefix = "file:"

// RepositoryLoad loads or reloads a model. The caller has passed Authorize.
func (s *Service) RepositoryLoad(ctx context.Context, r *inferencepb.RepositoryModelLoadRequest) error {
	if err := oneRepository(r.RepositoryName); err != nil {
		return err
	}
	if err := checkModelName(r.ModelName); err != nil {
		return err
	}
	config := ""
	var files map[string][]byte
	for key, value := range r.Parameters {
		path, isFile := strings.CutPrefix(key, filePrefix)
		switch choice := value.GetParameterChoice().(type) {
		case *inferencepb.ModelRepositoryParameter_StringParam:
			if key != "config" {
				return badLoadParameter(key)
			}
			config = choice.StringParam
		case *inferencepb.ModelRepositoryParameter_BytesParam:
			if !isFile {
				return badLoadParameter(key)
			}
			if files == nil {
				files = map[string][]byte{}
			}
			files[path] = choice.BytesParam
		default:
			return badLoadParameter(key)
		}
	}
	if files != nil && config == "" {
		return api.Errorf(api.CodeParameterInvalid, "failed to load '%s': the parameter 'config' is required where files are given", r.ModelName)
	}
	err := s.control.Load(ctx, r.ModelName, config, files)
	if err == nil {
		s.log.Info("model loaded", "model", r.ModelName)
	}
	return err
}

func badLoadParameter(key string) error {
	return api.Errorf(api.CodeParameterInvalid, "load parameter '%s': expected 'config' with a string, or 'file:VERSION/NAME' with bytes", key)
}

// RepositoryUnload unloads a model. The caller has passed Authorize.
func (s *Service) RepositoryUnload(ctx context.Context, r *inferencepb.RepositoryModelUnloadRequest) error {
	if err := oneRepository(r.RepositoryName); err != nil {
		return err
	}
	if err := checkModelName(r.ModelName); err != nil {
		return err
	}
	dependents := false
	for key, value := range r.Parameters {
		choice, ok := value.GetParameterChoice().(*inferencepb.ModelRepositoryParameter_BoolParam)
		if key != "unload_dependents" || !ok {
			return api.Errorf(api.CodeParameterInvalid, "unload parameter '%s': expected 'unload_dependents' with a bool", key)
		}
		dependents = choice.BoolParam
	}
	err := s.control.Unload(ctx, r.ModelName, dependents)
	if err == nil {
		s.log.Info("model unloaded", "model", r.ModelName)
	}
	return err
}

// oneRepository: this server has one repository, which has no name.
func oneRepository(name string) error {
	if name != "" {
		return api.Errorf(api.CodeUnsupported, "'repository_name' specification is not supported")
	}
	return nil
}

// checkModelName refuses what may not be a folder's name in the repository.
func checkModelName(name string) error {
	ok := name != "" && len(name) <= 255 && name[0] != '.'
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	if !ok {
		return api.Errorf(api.CodeModelNameInvalid, "model name '%s' is invalid: letters, digits and . _ - are allowed, and no leading dot", name)
	}
	return nil
}
