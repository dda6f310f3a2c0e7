// Command errgen makes the files that repeat the error table: api/errors_gen.go and docs/errors.md. It is run by
// `go generate ./api` (in the folder api); its test fails while a generated file is stale.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(".", "../docs"); err != nil {
		fmt.Fprintln(os.Stderr, "errgen:", err)
		os.Exit(1)
	}
}

// run reads apiDir/errors.yaml and writes the generated files.
func run(apiDir, docsDir string) error {
	t, err := readTable(apiDir + "/errors.yaml")
	if err != nil {
		return err
	}
	code, err := renderGo(t)
	if err != nil {
		return err
	}
	if err := os.WriteFile(apiDir+"/errors_gen.go", code, 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(docsDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(docsDir+"/errors.md", renderDoc(t), 0o644)
}
