package main

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"github.com/aimass/aimass/kernels/isa"
)

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
