package server

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/shm"
)

// TestOpenAPIIsTrue: every path and method that the description lists exists, success has the content type and the
// required fields that it names, and every other method is refused.
func TestOpenAPIIsTrue(t *testing.T) {
	var doc map[string]any
	if err := yaml.UnmarshalWithOptions([]byte(api.OpenAPI()), &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	cfg.Service.Training = trainingRunner(t)
	cfg.Service.SharedMemory = shm.Config{Allow: true, Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(cfg.Service.SharedMemory.Dir, "work"), make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	s, f := serve(t, cfg, io.Discard)
	attachNative(t, f, "letters", letters{})
	attachTable(t, f)
	paths := doc["paths"].(map[string]any)
	seen := map[string]bool{}
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			o := op.(map[string]any)
			if id := o["operationId"].(string); seen[id] {
				t.Errorf("operationId %s twice", id)
			} else {
				seen[id] = true
			}
			checkOperation(t, s, doc, strings.ToUpper(method), path, o)
		}
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			if _, listed := item.(map[string]any)[strings.ToLower(method)]; listed {
				continue
			}
			a := ask(t, s, method, fill(path), "")
			if a.status != 405 || a.header.Get("Allow") == "" {
				t.Errorf("%s %s, which is not listed: %d", method, path, a.status)
			}
		}
	}
}

// TestOpenAPIHasTheExtensions: what server metadata advertise is described.
func TestOpenAPIHasTheExtensions(t *testing.T) {
	for _, path := range []string{"systemsharedmemory/status", "systemsharedmemory/region/{region}/register", "systemsharedmemory/region/{region}/unregister",
		"models/{model}/stats", "repository/index", "repository/models/{model}/load", "trace/setting", "logging"} {
		if !strings.Contains(api.OpenAPI(), "\n  /v2/"+path+":\n") {
			t.Errorf("/v2/%s is not described", path)
		}
	}
}

func fill(path string) string {
	return strings.NewReplacer("{model}", "simple", "{version}", "3", "{job}", "20260302-090000000-00000000", "{name}", "log.jsonl", "{snapshot}", "none", "{region}", "some").Replace(path)
}

// example makes a request that must succeed, and what it needs to.
func example(t *testing.T, s *Server, operation, path string) (body, at string, headers []string) {
	t.Helper()
	model := "/v2/repository/models/simple/"
	must := func(method, path, body string, headers ...string) string {
		a := ask(t, s, method, path, body, headers...)
		if a.status != 200 {
			t.Errorf("%s, before %s: %d %s", path, operation, a.status, a.body)
		}
		return a.body
	}
	piece := func(version string) {
		must("PUT", model+"versions/"+version+"/upload", "some", "Content-Range: bytes 0-3/100")
	}
	switch operation {
	case "drift", "driftVersion":
		return "", strings.Replace(path, "simple", "table", 1), nil
	case "trainJobCreate":
		return trainingRequest, path, nil
	case "trainJob", "trainJobCancel", "trainJobLogs", "trainJobArtefacts", "trainJobArtefact":
		id := idOf(t, must("POST", "/v2/train/jobs", trainingRequest))
		for operation != "trainJobCancel" && !strings.Contains(must("GET", "/v2/train/jobs/"+id, ""), `"ended"`) {
			time.Sleep(10 * time.Millisecond)
		}
		return "", strings.Replace(path, "20260302-090000000-00000000", id, 1), nil
	case "snapshotAdd":
		return "a,b\n1,x\n2,y\n", path + "?name=small", nil
	case "snapshot", "snapshotRemove":
		id := idOf(t, must("POST", "/v2/train/snapshots", "a,b\n1,x\n2,"+operation+"\n"))
		return "", strings.Replace(path, "none", id, 1), nil
	case "sharedMemoryRegister":
		return `{"key":"/work","offset":8,"byte_size":16}`, strings.Replace(path, "some", "other", 1), nil
	case "sharedMemory", "sharedMemoryRegion", "sharedMemoryUnregister":
		must("POST", "/v2/systemsharedmemory/region/some/unregister", "")
		must("POST", "/v2/systemsharedmemory/region/some/register", `{"key":"/work","offset":8,"byte_size":16}`)
	case "infer", "inferVersion":
		return simpleRequest(1, ""), path, nil
	case "embeddings":
		return `{"model":"letters","input":["a","b"]}`, path, nil
	case "promote":
		return `{"version":"3","force":true}`, path, nil
	case "rollback":
		must("POST", model+"promote", `{"version":1,"force":true}`)
		must("POST", model+"promote", `{"version":3,"force":true}`)
	case "canary", "shadow":
		must("POST", model+"promote", `{"version":3,"force":true}`)
		return `{"version":1,"percent":5}`, path, nil
	case "alias":
		return `{"alias":"best","version":3}`, path, nil
	case "diff":
		return "", path + "?from=1&to=3", nil
	case "upload":
		return must("GET", model+"versions/3/download", ""), strings.Replace(path, "/3/", "/9/", 1), nil
	case "uploadProgress":
		piece("8")
		return "", strings.Replace(path, "/3/", "/8/", 1), nil
	case "uploadDrop":
		piece("7")
		return "", strings.Replace(path, "/3/", "/7/", 1), nil
	}
	return "", path, nil
}

func checkOperation(t *testing.T, s *Server, doc map[string]any, method, path string, op map[string]any) {
	t.Helper()
	body, at, headers := example(t, s, op["operationId"].(string), fill(path))
	a := ask(t, s, method, at, body, headers...)
	if a.status != 200 {
		t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
		return
	}
	ok := resolve(doc, op["responses"].(map[string]any)["200"])
	content, listed := ok["content"].(map[string]any)[a.header.Get("Content-Type")]
	if !listed {
		t.Errorf("%s %s: content type %q is not described", method, path, a.header.Get("Content-Type"))
		return
	}
	schema := resolve(doc, content.(map[string]any)["schema"])
	if schema["type"] == "string" {
		return
	}
	var got any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	checkSchema(t, doc, method+" "+path, schema, got)
}

// resolve follows a $ref.
func resolve(doc map[string]any, v any) map[string]any {
	m := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return resolve(doc, at)
}

// checkSchema checks types, required fields, and where a schema is closed, that nothing else is there.
func checkSchema(t *testing.T, doc map[string]any, where string, schema map[string]any, v any) {
	t.Helper()
	switch x := v.(type) {
	case map[string]any:
		if schema["type"] != "object" && schema["type"] != nil {
			t.Errorf("%s: an object, described as %v", where, schema["type"])
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := x[name.(string)]; !ok {
				t.Errorf("%s: field %s is missing", where, name)
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, e := range x {
			if p, ok := properties[name]; ok {
				checkSchema(t, doc, where+"."+name, resolve(doc, p), e)
			} else if schema["additionalProperties"] == false || len(properties) > 0 && schema["additionalProperties"] != true && schema["additionalProperties"] == nil {
				t.Errorf("%s: field %s is not described", where, name)
			}
		}
	case []any:
		if items, ok := schema["items"]; ok {
			for _, e := range x {
				checkSchema(t, doc, where+"[]", resolve(doc, items), e)
			}
		}
	case string:
		if schema["type"] != "string" && schema["enum"] == nil {
			t.Errorf("%s: a string, described as %v", where, schema["type"])
		}
	case float64:
		if schema["type"] != "integer" && schema["type"] != "number" {
			t.Errorf("%s: a number, described as %v", where, schema["type"])
		}
	case bool:
		if schema["type"] != "boolean" && schema["const"] != x {
			t.Errorf("%s: %v, described as %v", where, x, schema)
		}
	}
}
