package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
	"github.com/aimass/aimass/repository/bundle"
)

func newModelsPushCommand(r *remote) *cobra.Command {
	var model string
	var version int64
	var noLoad bool
	c := &cobra.Command{
		Use:   "push PATH",
		Short: "Upload a version: a model file, a version's folder, a model's folder, or a bundle that was pulled",
		Long: "Upload a version: a model file, a version's folder, a model's folder of a repository (its newest version), or a\n" +
			"bundle (.tar.zst) that was pulled. An upload that breaks off is gone on with by the same command. The version takes\n" +
			"no requests until it is promoted, unless the model is new.",
		Args:    cobra.ExactArgs(1),
		Example: "  aimass models push build/models/appt-noshow\n  aimass models push model.onnx --model digits",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(args[0], model)
			if err != nil {
				return err
			}
			defer b.close()
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				u, err := push(ctx, c, b, version, noLoad)
				var refused *client.Error
				switch {
				case err == nil:
				case errors.As(err, &refused), errors.Is(err, syscall.ECONNREFUSED):
					return err
				default:
					return fmt.Errorf("%w\n  the same command goes on from what the server has", err)
				}
				w := cmd.OutOrStdout()
				fmt.Fprintf(w, "%s version %d: %s, %d bytes, sha256 %s\n", u.Model, u.Version, orDash(u.State), b.size, u.SHA256)
				if u.Config == "kept" {
					fmt.Fprintf(w, "  the server's configuration of %s differs from the pushed one, and stays\n", u.Model)
				}
				if u.Reason != "" {
					fmt.Fprintf(w, "  %s\n", u.Reason)
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&model, "model", "", "the model's name (default: that of the folder or bundle)")
	c.Flags().Int64Var(&version, "version", 0, "the version's number (default: one more than the server's greatest, or that of the same bundle)")
	c.Flags().BoolVar(&noLoad, "no-load", false, "leave the version unloaded")
	return c
}

// bundleFile is a bundle to push.
type bundleFile struct {
	*os.File
	model, sha string
	size       int64
	temporary  bool
}

func (b *bundleFile) close() {
	b.Close()
	if b.temporary {
		_ = os.Remove(b.Name())
	}
}

// openBundle opens a bundle, or packs what path names into a temporary one.
func openBundle(path, model string) (_ *bundleFile, err error) {
	b := &bundleFile{model: model}
	if strings.HasSuffix(path, ".tar.zst") {
		if b.File, err = os.Open(path); err != nil {
			return nil, err
		}
		if b.model == "" {
			b.model = bundleModel(filepath.Base(path))
		}
	} else {
		if b.model == "" {
			if b.model, err = folderModel(path); err != nil {
				return nil, err
			}
		}
		source, err := bundle.FromPath(path, b.model)
		if err != nil {
			return nil, err
		}
		if b.File, err = os.CreateTemp("", "aimass-push-*.tar.zst"); err != nil {
			return nil, err
		}
		b.temporary = true
		if _, err := source.Pack(b.File); err != nil {
			b.close()
			return nil, err
		}
	}
	h := sha256.New()
	if _, err = b.Seek(0, io.SeekStart); err == nil {
		b.size, err = io.Copy(h, b.File)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	b.sha = hex.EncodeToString(h.Sum(nil))
	return b, nil
}

// bundleModel takes the model's name from that of a file that was pulled, MODEL-VERSION.tar.zst.
func bundleModel(file string) string {
	name := strings.TrimSuffix(file, ".tar.zst")
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		return name[:i]
	}
	return name
}

// folderModel takes the model's name from the folder: that of the model above a version's.
func folderModel(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if st, err := os.Stat(abs); err != nil {
		return "", err
	} else if !st.IsDir() {
		return "", errors.New("a single file says no name: give --model")
	}
	if _, err := strconv.ParseUint(filepath.Base(abs), 10, 63); err == nil {
		abs = filepath.Dir(abs)
	}
	return filepath.Base(abs), nil
}

// push uploads under the given number, or the next free one, which another may take first. A
// bundle that the server has keeps its number: the command may be given again.
func push(ctx context.Context, c *client.Client, b *bundleFile, version int64, noLoad bool) (*client.Upload, error) {
	given := version != 0
	for try := 0; ; try++ {
		if !given {
			rel, err := c.Release(ctx, b.model)
			if err != nil && api.CodeOf(err) != api.CodeModelNotFound {
				return nil, err
			}
			if version = 1; err == nil {
				for _, v := range rel.Versions {
					if v.SHA256 == b.sha {
						return c.Push(ctx, b.model, v.Version, b, b.size, b.sha, client.PushOptions{NoLoad: noLoad}) // done already, and loaded by this
					}
					version = max(version, v.Version+1)
				}
			}
		}
		u, err := c.Push(ctx, b.model, version, b, b.size, b.sha, client.PushOptions{NoLoad: noLoad})
		if err == nil || given || api.CodeOf(err) != api.CodeVersionExists || try >= 3 {
			return u, err
		}
	}
}

func newModelsPullCommand(r *remote) *cobra.Command {
	var version, out, into string
	c := &cobra.Command{
		Use:     "pull MODEL",
		Short:   "Download a version as one file, or unpacked into a repository",
		Args:    cobra.ExactArgs(1),
		Example: "  aimass models pull appt-noshow --version stable\n  aimass models pull appt-noshow --version 3 --into models",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				number, err := resolveVersion(ctx, c, args[0], version)
				if err != nil {
					return err
				}
				file := out
				if file == "" {
					file = fmt.Sprintf("%s-%d.tar.zst", args[0], number)
				}
				if into != "" && out == "" {
					file = filepath.Join(os.TempDir(), file)
					defer os.Remove(file)
				}
				b, err := pull(ctx, c, args[0], number, file)
				if err != nil {
					return err
				}
				if into == "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s version %d, %d bytes, sha256 %s\n", file, args[0], number, b.Size, b.SHA256)
					return nil
				}
				place, err := unpackInto(file, b.Size, into, args[0], number)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, sha256 %s\n", place, b.Size, b.SHA256)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&version, "version", "", "a number or an alias (default: stable, else the newest)")
	c.Flags().StringVar(&out, "out", "", "the file to write (default MODEL-VERSION.tar.zst)")
	c.Flags().StringVar(&into, "into", "", "unpack into this repository folder, as MODEL/VERSION")
	return c
}

// resolveVersion finds the number of what a flag names.
func resolveVersion(ctx context.Context, c *client.Client, model, version string) (int64, error) {
	if n, err := strconv.ParseInt(version, 10, 64); err == nil {
		return n, nil
	}
	rel, err := c.Release(ctx, model)
	if err != nil {
		return 0, err
	}
	n := rel.Aliases[version]
	switch {
	case version == "" && rel.Stable == 0:
		for _, v := range rel.Versions {
			n = max(n, v.Version)
		}
	case version == "" || version == "stable":
		n = rel.Stable
	case version == "previous":
		n = rel.Previous
	case version == "canary" && rel.Canary != nil:
		n = rel.Canary.Version
	}
	if n == 0 {
		return 0, fmt.Errorf("model %s has no version %q", model, orDash(version))
	}
	return n, nil
}

// pull downloads to a file; what an earlier pull left in FILE.part is gone on with.
func pull(ctx context.Context, c *client.Client, model string, version int64, file string) (*client.Bundle, error) {
	part, note := file+".part", file+".part.sha256"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	known, _ := os.ReadFile(note)
	if len(known) == 0 {
		// Without its hash nobody knows what the part is of.
		if have, err = 0, f.Truncate(0); err != nil {
			return nil, err
		}
		if _, err = f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		sha, err := c.BundleSHA256(ctx, model, strconv.FormatInt(version, 10))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(note, []byte(sha), 0o644); err != nil {
			return nil, err
		}
		known = []byte(sha)
	}
	restart := func() error {
		_, err := f.Seek(0, io.SeekStart)
		return errors.Join(f.Truncate(0), err)
	}
	b, err := c.Pull(ctx, model, strconv.FormatInt(version, 10), f, have, string(known), restart)
	if err != nil {
		return nil, fmt.Errorf("%w\n  the same command goes on from what is in %s", err, part)
	}
	h := sha256.New()
	if _, err = f.Seek(0, io.SeekStart); err == nil {
		_, err = io.Copy(h, f)
	}
	if err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.SHA256 {
		_ = os.Remove(part)
		_ = os.Remove(note)
		return nil, fmt.Errorf("the download has the SHA-256 %s, the server said %s; it was thrown away", got, b.SHA256)
	}
	return b, errors.Join(f.Sync(), os.Rename(part, file), os.Remove(note))
}

// unpackInto unpacks a bundle as a new version of a repository on this machine.
func unpackInto(file string, size int64, repo, model string, version int64) (string, error) {
	place := filepath.Join(repo, model, strconv.FormatInt(version, 10))
	if _, err := os.Lstat(place); err == nil {
		return "", fmt.Errorf("%s is there already", place)
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(place), ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := bundle.Unpack(f, size, root, "model", "version", bundle.Limits{}.WithDefaults()); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(tmp, "model"))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		// What lies beside the versions already is the operator's.
		if to := filepath.Join(filepath.Dir(place), e.Name()); !exists(to) {
			if err := os.Rename(filepath.Join(tmp, "model", e.Name()), to); err != nil {
				return "", err
			}
		}
	}
	return place, os.Rename(filepath.Join(tmp, "version"), place)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
