package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aimass/aimass/api"
)

// configName is the file of a model's configuration, beside its versions; jobName the file
// of a version that names the job which made it.
const (
	configName = "config.pbtxt"
	jobName    = "job.txt"
)

// Place says where a new version goes.
type Place struct {
	// Repository is the folder of models.
	Repository, Model string
	// JobID names the job in the version, so that Published finds it again; it may be "".
	JobID string
	// Config, unless nil, becomes the model's config.pbtxt where it has none yet.
	Config []byte
}

// Publish writes a new version of a model under a repository folder: all files or none.
// files gives them by name for the version number that it is told, one more than the
// greatest there is; it may be called again if another job takes that number first. It
// returns the version's folder and number. Errors have the codes training_write_failed and
// training_disk_full.
//
// The files are written to a folder whose name begins with a dot, synced, and moved to
// their place in one rename.
func Publish(p Place, files func(version int) (map[string][]byte, error)) (string, int, error) {
	base := filepath.Join(p.Repository, p.Model)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", 0, WriteError(err, "the model's folder can't be made")
	}
	tmp, err := os.MkdirTemp(base, ".new-")
	if err != nil {
		return "", 0, WriteError(err, "the model can't be written")
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", 0, WriteError(err, "the model can't be written")
	}
	// Another job may take the number between the look and the rename.
	for range 100 {
		version, err := nextVersion(base)
		if err != nil {
			return "", 0, WriteError(err, "the model's versions can't be listed")
		}
		list, err := files(version)
		if err == nil {
			err = writeFiles(tmp, list, p.JobID)
		}
		if err != nil {
			return "", 0, WriteError(err, "the model can't be written")
		}
		if err := writeConfig(base, p.Config); err != nil {
			return "", 0, WriteError(err, "the model's configuration can't be written")
		}
		place := filepath.Join(base, strconv.Itoa(version))
		err = os.Rename(tmp, place)
		if err == nil {
			return place, version, syncPath(base)
		}
		if _, taken := os.Stat(place); taken != nil {
			return "", 0, WriteError(err, "the new version can't be put in its place")
		}
	}
	return "", 0, api.Errorf(api.CodeTrainingWriteFailed, "other jobs took every version number")
}

// Published finds the version that a job has made; with model "", of any model.
func Published(repository, model, jobID string) (path string, version int, ok bool) {
	base := filepath.Join(repository, model)
	if model == "" {
		models, _ := os.ReadDir(repository)
		for _, m := range models {
			if path, version, ok := Published(repository, m.Name(), jobID); ok {
				return path, version, true
			}
		}
		return "", 0, false
	}
	entries, _ := os.ReadDir(base)
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(base, e.Name(), jobName)); err == nil && strings.TrimSpace(string(b)) == jobID {
			return filepath.Join(base, e.Name()), n, true
		}
	}
	return "", 0, false
}

// WriteError gives the failure of a write its code: a full disk is told from the rest.
func WriteError(err error, what string) error {
	code := api.CodeTrainingWriteFailed
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		code = api.CodeTrainingDiskFull
	}
	return api.Errorf(code, "%s: %w", what, err)
}

// writeConfig puts a configuration in its place if there is none; an operator's stays.
func writeConfig(base string, config []byte) error {
	place := filepath.Join(base, configName)
	if _, err := os.Stat(place); config == nil || err == nil {
		return nil
	}
	return WriteFile(place, config)
}

// nextVersion is one more than the greatest version folder.
func nextVersion(base string) (int, error) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return 0, err
	}
	top := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > top {
			top = n
		}
	}
	return top + 1, nil
}

func writeFiles(dir string, files map[string][]byte, jobID string) error {
	for name, data := range files {
		if err := writeSynced(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	if jobID != "" {
		if err := writeSynced(filepath.Join(dir, jobName), []byte(jobID+"\n")); err != nil {
			return err
		}
	}
	return syncPath(dir)
}

// WriteFile replaces a file by one with the given content, all or nothing, and makes it
// durable.
func WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncPath makes a folder's entries durable.
func syncPath(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}
