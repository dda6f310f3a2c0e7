// Command aimass is the inference server and its tools; one file a subcommand.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // a clinic's zone must be known where the system has no zone files

	"github.com/spf13/cobra"
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
	root.AddCommand(newBenchCommand(), newDemoCommand(), newServeCommand(), newTrainCommand(), newVerifyCommand())
	return root
}
