package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime/tensor"
)

// welcomeText says what serves and gives one command to try.
func welcomeText(addr string, repo *repository.Repository, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nready in %d ms at http://%s\n", took.Milliseconds(), addr)
	var try *repository.Version
	for _, e := range repo.Index() {
		fmt.Fprintf(&b, "  %-24s version %-4d %s %s\n", e.Name, e.Version, e.State, e.Reason)
		if v := repo.Serving(e.Name, e.Version); v != nil && (try == nil || e.Name == demoModel) {
			try = v
		}
	}
	if try != nil && addr != "" {
		fmt.Fprintf(&b, "\ntry:\n  curl -s http://%s/v2/models/%s/infer -d '%s'\n", addr, try.Model, exampleBody(try))
	}
	b.WriteString("\nCtrl-C stops the server.\n\n")
	return b.String()
}

// demoModel is the one whose example means something to a reader.
const demoModel = "appt-noshow"

// demoPatient is a booking twelve days ahead by a patient who once stayed away.
const demoPatient = `{"inputs":[{"name":"numeric","shape":[1,17],"datatype":"FP32","data":[34,0,12,0,9.5,1,6,0,0,0,0,0,3,1,0,40,1]},{"name":"neighbourhood","shape":[1],"datatype":"INT64","data":[7]}]}`

// exampleBody is a request with values that any model of these inputs takes.
func exampleBody(v *repository.Version) string {
	if v.Model == demoModel {
		return demoPatient
	}
	var in []string
	for _, p := range v.Config.Inputs {
		n, dims := 1, make([]string, len(p.Shape))
		for i, d := range p.Shape {
			d = max(d, 1)
			n *= int(d)
			dims[i] = fmt.Sprint(d)
		}
		value := "0"
		switch {
		case p.DType == tensor.String:
			value = `""`
		case p.DType == tensor.Bool:
			value = "false"
		}
		data := strings.TrimSuffix(strings.Repeat(value+",", min(n, 4096)), ",")
		in = append(in, fmt.Sprintf(`{"name":%q,"shape":[%s],"datatype":%q,"data":[%s]}`, p.Name, strings.Join(dims, ","), p.DType.V2(), data))
	}
	return `{"inputs":[` + strings.Join(in, ",") + `]}`
}
