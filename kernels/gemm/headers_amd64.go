//go:build amd64 && cgo && !noasm

package gemm

import "embed"

// headers makes the package's compiled form change with its headers, so that
// the rooms that include the tiles are compiled again.
//
//go:embed gemm.h tile.h pack.h finish.h
var headers embed.FS

func init() {
	if _, err := headers.Open("tile.h"); err != nil {
		panic("BUG: gemm: " + err.Error())
	}
}
