// Command aimass is the inference server and its tools; one file a subcommand.
package main

import (
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/kernels/isa"
)

// version is set by the build.
var version = "dev"

func main() {
	if err := newRoot().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "aimass:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "aimass",
		Short:         "A high-performance inference server",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Version = versionText()
	root.AddCommand(newBenchCommand(), newClinicCommand(), newCompressCommand(), newDemoCommand(), newDoctorCommand(), newHealthCommand(),
		newInspectCommand(), newKeysCommand(), newLogsCommand(), newModelsCommand(),
		newOpsCommand(), newServeCommand(), newTrainCommand(), newVerifyCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, c.CommandPath())
	})
	sayUsage(root)
	refuseUnknown(root)
	return root
}

// refuseUnknown makes a group of commands, called with a word that is none of them, say so: cobra would print
// the help and report success.
func refuseUnknown(root *cobra.Command) {
	for _, group := range root.Commands() {
		if !group.HasSubCommands() {
			continue
		}
		group.DisableFlagsInUseLine = true
		group.FParseErrWhitelist.UnknownFlags = true // they are those of the command that was meant
		group.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var known []string
			for _, sub := range c.Commands() {
				if sub.IsAvailableCommand() {
					known = append(known, sub.Name())
				}
			}
			return fmt.Errorf("%s has no command %q, expected one of %s", c.CommandPath(), args[0], strings.Join(known, ", "))
		}
		group.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// sayUsage adds to each command's complaint about its arguments how it is called.
func sayUsage(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sayUsage(sub)
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fmt.Errorf("%w\n  usage: %s", err, c.UseLine())
			}
			return nil
		}
	}
}

// versionText is what --version prints: the version, the commit where the build knows it,
// and what decides the speed.
func versionText() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = ", commit " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return fmt.Sprintf("%s%s, %s %s/%s, isa %s", version, commit, goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, isa.Current().Level)
}

// builtWithCgo says whether the binary was built with cgo, which the fast kernels need.
func builtWithCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "CGO_ENABLED" && s.Value == "0" })
}
