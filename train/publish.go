package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// configName is the file of a model's configuration, beside its versions.
const configName = "config.pbtxt"

// Publish writes a new version of a model under a repository folder: all files or none.
// files gives them by name for the version number that it is told, one more than the
// greatest there is; it may be called again if another job takes that number first.
// config, unless nil, becomes the model's config.pbtxt where it has none yet. It returns
// the version's folder and number. Errors are *Error of CodeWriteFailed.
//
// The files are written to a folder whose name begins with a dot, synced, and moved to
// their place in one rename.
func Publish(repository, model string, config []byte, files func(version int) (map[string][]byte, error)) (string, int, error) {
	base := filepath.Join(repository, model)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", 0, Wrap(err, CodeWriteFailed, "the model's folder can't be made")
	}
	tmp, err := os.MkdirTemp(base, ".new-")
	if err != nil {
		return "", 0, Wrap(err, CodeWriteFailed, "the model can't be written")
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", 0, Wrap(err, CodeWriteFailed, "the model can't be written")
	}
	if err := writeConfig(base, tmp, config); err != nil {
		return "", 0, Wrap(err, CodeWriteFailed, "the model's configuration can't be written")
	}
	// Another job may take the number between the look and the rename.
	for range 100 {
		version, err := nextVersion(base)
		if err != nil {
			return "", 0, Wrap(err, CodeWriteFailed, "the model's versions can't be listed")
		}
		list, err := files(version)
		if err == nil {
			err = writeFiles(tmp, list)
		}
		if err != nil {
			return "", 0, Wrap(err, CodeWriteFailed, "the model can't be written")
		}
		place := filepath.Join(base, strconv.Itoa(version))
		err = os.Rename(tmp, place)
		if err == nil {
			return place, version, syncPath(base)
		}
		if _, taken := os.Stat(place); taken != nil {
			return "", 0, Wrap(err, CodeWriteFailed, "the new version can't be put in its place")
		}
	}
	return "", 0, Errorf(CodeWriteFailed, "other jobs took every version number")
}

// writeConfig puts a configuration in its place if there is none; an operator's stays.
func writeConfig(base, tmp string, config []byte) error {
	place := filepath.Join(base, configName)
	if _, err := os.Stat(place); config == nil || err == nil {
		return nil
	}
	draft := filepath.Join(tmp, configName)
	if err := writeSynced(draft, config); err != nil {
		return err
	}
	return os.Rename(draft, place)
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

func writeFiles(dir string, files map[string][]byte) error {
	for name, data := range files {
		if err := writeSynced(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return syncPath(dir)
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
