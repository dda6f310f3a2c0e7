package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository"
)

func newKeysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Make keys, seal and sign model versions, move them to a newer key"}
	c.AddCommand(newKeysNewCommand(), newKeysSealCommand(), newKeysRewrapCommand(), newKeysSignerCommand(), newKeysSignCommand())
	return c
}

func newKeysNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new FILE NAME",
		Short: "Append a fresh key to a key file, which is made if it is not there",
		Long: "Append a fresh key to a key file, which is made if it is not there. The newest key of a file seals, all open:\n" +
			"to rotate, add a key, run keys rewrap, and take the old key out once nothing needs it.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err == nil {
				r, err := seal.LoadKeyring("file:" + args[0])
				if err != nil {
					return err
				}
				for _, id := range r.IDs() {
					if id == args[1] {
						return fmt.Errorf("%s has a key %q already", args[0], id)
					}
				}
			}
			line, err := seal.NewKey(args[1])
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			if _, err := f.WriteString(line); err != nil {
				f.Close()
				return err
			}
			return f.Close()
		},
	}
}

func newKeysSealCommand() *cobra.Command {
	var keys string
	c := &cobra.Command{
		Use:   "seal --keys SOURCE FILE…",
		Short: "Encrypt files in place: FILE becomes FILE" + seal.Suffix,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ring, err := seal.LoadKeyring(keys)
			if err != nil {
				return err
			}
			for _, name := range args {
				b, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				if seal.Is(b) {
					return fmt.Errorf("%s is sealed already", name)
				}
				out, err := ring.Seal(b)
				if err != nil {
					return err
				}
				if err := replaceFile(name+seal.Suffix, out); err != nil {
					return err
				}
				if err := os.Remove(name); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, sealed %d\n", name+seal.Suffix, len(b), len(out))
			}
			return nil
		},
	}
	keysFlag(c, &keys)
	return c
}

func newKeysRewrapCommand() *cobra.Command {
	var keys string
	c := &cobra.Command{
		Use:   "rewrap --keys SOURCE PATH…",
		Short: "Move sealed files, or all in a folder, to the newest key; their content is not encrypted anew",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ring, err := seal.LoadKeyring(keys)
			if err != nil {
				return err
			}
			moved, seen := 0, 0
			for _, top := range args {
				err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
					if err != nil || d.IsDir() || !strings.HasSuffix(p, seal.Suffix) {
						return err
					}
					b, err := os.ReadFile(p)
					if err != nil {
						return err
					}
					seen++
					out, changed, err := ring.Rewrap(b)
					if err != nil {
						return fmt.Errorf("%s: %w", p, err)
					}
					if changed {
						moved++
						err = replaceFile(p, out)
					}
					return err
				})
				if err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d of %d sealed files moved to key %s\n", moved, seen, ring.IDs()[len(ring.IDs())-1])
			return nil
		},
	}
	keysFlag(c, &keys)
	return c
}

func newKeysSignerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "signer FILE",
		Short: "Make a key that signs: the private half goes to FILE, the public one to FILE.pub",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, public, err := seal.NewSigner()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			if _, err := f.WriteString(private + "\n"); err != nil {
				f.Close()
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
			return os.WriteFile(args[0]+".pub", []byte(public+"\n"), 0o644)
		},
	}
}

func newKeysSignCommand() *cobra.Command {
	var signer string
	c := &cobra.Command{
		Use:   "sign --signer FILE VERSION…",
		Short: "Sign version folders (models/NAME/3): writes " + seal.SignatureFile + " over all files there",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, err := os.ReadFile(signer)
			if err != nil {
				return fmt.Errorf("--signer: %w", err)
			}
			for _, dir := range args {
				b, err := seal.Sign(os.DirFS(dir), string(private))
				if err != nil {
					return fmt.Errorf("%s: %w", dir, err)
				}
				if err := replaceFile(filepath.Join(dir, seal.SignatureFile), b); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&signer, "signer", "", "file with the private key (keys signer makes it)")
	_ = c.MarkFlagRequired("signer")
	return c
}

func keysFlag(c *cobra.Command, keys *string) {
	c.Flags().StringVar(keys, "keys", "", "where the keys are: file:PATH, env:NAME or command:LINE")
	_ = c.MarkFlagRequired("keys")
}

// trust reads the keys that open models and those that must have signed them.
func (s *settings) trust(c *repository.Config) (err error) {
	if s.ModelKeys != "" {
		if c.Keys, err = seal.LoadKeyring(s.ModelKeys); err != nil {
			return fmt.Errorf("--model-keys: %w", err)
		}
	}
	if s.TrustedSigners == "" {
		return nil
	}
	b, err := os.ReadFile(s.TrustedSigners)
	if err != nil {
		return fmt.Errorf("--trusted-signers: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		k, err := seal.ParsePublic(line)
		if err != nil {
			return fmt.Errorf("--trusted-signers %s: %w", s.TrustedSigners, err)
		}
		c.Trusted = append(c.Trusted, k)
	}
	if len(c.Trusted) == 0 {
		return fmt.Errorf("--trusted-signers %s: there is no key", s.TrustedSigners)
	}
	return nil
}

// replaceFile puts a file in place at once, so that a reader never sees half of it.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
