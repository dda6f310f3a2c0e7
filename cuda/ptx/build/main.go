// Command build compiles cuda/kernels/*.cu to cuda/ptx/*.ptx, writes the manifest, and packs the modules for
// the binary. It runs in the repository's root, with $CUDA_HOME set (make cuda-ptx). With -pack DIR it
// needs no compiler and packs the modules as they are (go generate ./cuda/ptx).
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/cuda/ptx"
)

const (
	sources = "cuda/kernels"
	out     = "cuda/ptx"
)

// versions are the PTX ISA versions that are tried, oldest first: 7.0 came with sm_80 and
// CUDA 11.0, so the oldest one that ptxas accepts keeps the most drivers.
var versions = []string{"7.0", "7.1", "7.4", "7.8", "8.0", "8.3", "9.0"}

var flags = []string{"-arch=compute_80", "-ptx", "-O3", "-std=c++17"}

func main() {
	log.SetFlags(0)
	dir := flag.String("pack", "", "only pack the modules of this folder")
	flag.Parse()
	if *dir != "" {
		pack(*dir)
		return
	}
	home := os.Getenv("CUDA_HOME")
	if home == "" {
		log.Fatal("build: CUDA_HOME is not set; make cuda-ptx fetches the compiler and sets it")
	}
	m := ptx.Manifest{Compiler: release(home), Flags: flags}
	files, err := filepath.Glob(filepath.Join(sources, "*.cu"))
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".cu")
		text, err := compile(home, file)
		if err != nil {
			log.Fatalf("build: %s: %v", file, err)
		}
		if err := os.WriteFile(filepath.Join(out, name+".ptx"), text, 0o644); err != nil {
			log.Fatal(err)
		}
		hashes, err := ptx.Hashes(sources, filepath.Base(file))
		if err != nil {
			log.Fatal(err)
		}
		sum := sha256.Sum256(text)
		m.Modules = append(m.Modules, ptx.Source{Name: name, SHA256: hex.EncodeToString(sum[:]), Files: hashes})
	}
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "manifest.json"), append(b, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
	pack(out)
	fmt.Printf("%d modules by nvcc %s\n", len(m.Modules), m.Compiler)
}

// pack compresses each module of dir to its packed folder.
func pack(dir string) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		log.Fatal(err)
	}
	packed := filepath.Join(dir, "packed")
	if err := os.RemoveAll(packed); err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(packed, 0o755); err != nil {
		log.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ptx"))
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(packed, filepath.Base(file)+".zst"), enc.EncodeAll(text, nil), 0o644)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

func release(home string) string {
	b, err := exec.Command(filepath.Join(home, "bin/nvcc"), "--version").Output()
	if err != nil {
		log.Fatalf("build: nvcc: %v", err)
	}
	if v := regexp.MustCompile(`V(\d+\.\d+\.\d+)`).FindSubmatch(b); v != nil {
		return string(v[1])
	}
	log.Fatal("build: nvcc --version names no version")
	return ""
}

func compile(home, file string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "ptx")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	raw := filepath.Join(dir, "k.ptx")
	cmd := exec.Command(filepath.Join(home, "bin/nvcc"), append(flags, "-o", raw, file)...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	if b, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, b)
	}
	b, err := os.ReadFile(raw)
	if err != nil {
		return nil, err
	}
	return lowered(home, dir, strip(b))
}

var (
	comment = regexp.MustCompile(`(?m)[ \t]*//.*$`)
	blank   = regexp.MustCompile(`\n\s*\n+`)
	version = regexp.MustCompile(`(?m)^\.version .*$`)
	// hint tells ptxas which bytes of a load are used: it changes nothing that is computed and asks for PTX 8.3.
	hint = regexp.MustCompile(`(?m)^[ \t]*\.pragma "used_bytes_mask [^"]*";$`)
)

// strip drops comments, hints that would ask for a newer driver, and blank lines; what is left is what
// the driver reads.
func strip(b []byte) []byte {
	b = hint.ReplaceAll(b, nil)
	b = comment.ReplaceAll(b, nil)
	b = blank.ReplaceAll(b, []byte("\n"))
	return append(bytes.TrimSpace(b), '\n')
}

// lowered sets the oldest PTX version under which the text still assembles.
func lowered(home, dir string, text []byte) ([]byte, error) {
	var last error
	for _, v := range versions {
		b := version.ReplaceAll(text, []byte(".version "+v))
		file := filepath.Join(dir, "v.ptx")
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return nil, err
		}
		msg, err := exec.Command(filepath.Join(home, "bin/ptxas"), "-arch=sm_80", "-O0", file, "-o", filepath.Join(dir, "v.cubin")).CombinedOutput()
		if err == nil {
			return b, nil
		}
		last = fmt.Errorf("ptxas under version %s: %w\n%s", v, err, msg)
	}
	return nil, last
}
