package api

import _ "embed" // for openapi.yaml

//go:embed openapi.yaml
var openapi string

// OpenAPI returns the description of the REST interface, in YAML.
func OpenAPI() string { return openapi }
