package api

import _ "embed" // for openapi.yaml

//go:embed openapi.yaml
var openapi []byte

// OpenAPI returns the description of the REST interface, in YAML. The caller must not change it.
func OpenAPI() []byte { return openapi }
