package noshow

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/aimass/aimass/train"
)

// publish writes a new version of the card's model under the repository folder:
// model.onnx, model_card.json, model_card.md and report.html, all of them or
// none. It sets card.Version to the next free number and returns the folder.
//
// The files are written to a folder whose name begins with a dot, synced, and
// moved to their place in one rename.
func publish(repository string, card *Card, model []byte, report func() ([]byte, error)) (string, error) {
	base := filepath.Join(repository, card.Model)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", train.Wrap(err, train.CodeWriteFailed, "the model's folder can't be made")
	}
	tmp, err := os.MkdirTemp(base, ".new-")
	if err != nil {
		return "", train.Wrap(err, train.CodeWriteFailed, "the model can't be written")
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", train.Wrap(err, train.CodeWriteFailed, "the model can't be written")
	}
	// Another job may take the number between the look and the rename.
	for range 100 {
		if card.Version, err = nextVersion(base); err != nil {
			return "", train.Wrap(err, train.CodeWriteFailed, "the model's versions can't be listed")
		}
		if err := writeFiles(tmp, card, model, report); err != nil {
			return "", train.Wrap(err, train.CodeWriteFailed, "the model can't be written")
		}
		place := filepath.Join(base, strconv.Itoa(card.Version))
		err = os.Rename(tmp, place)
		if err == nil {
			return place, syncPath(base)
		}
		if _, taken := os.Stat(place); taken != nil {
			break
		}
	}
	return "", train.Wrap(err, train.CodeWriteFailed, "the new version can't be put in its place")
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

func writeFiles(dir string, card *Card, model []byte, report func() ([]byte, error)) error {
	js, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return err
	}
	html, err := report()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"model.onnx", model},
		{"model_card.json", append(js, '\n')},
		{"model_card.md", []byte(card.Markdown())},
		{"report.html", html},
	} {
		if err := writeSynced(filepath.Join(dir, f.name), f.data); err != nil {
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
