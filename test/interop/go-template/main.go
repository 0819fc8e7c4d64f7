// Renders templates as Go does: standard input is JSON, [{"template": ..., "data": ...}], standard output a list of
// {"text": ...} or {"error": ...}.
package main

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"text/template"
)

// Numbers of JSON that are integers are those of Go, as in the structures of Kubernetes.
func integers(value any) any {
	switch v := value.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return int(v)
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	}
	return value
}

func main() {
	var cases []struct {
		Template string
		Data     any
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	results := make([]map[string]string, len(cases))
	for i, c := range cases {
		var out strings.Builder
		parsed, err := template.New("").Parse(c.Template)
		if err == nil {
			err = parsed.Execute(&out, integers(c.Data))
		}
		if err != nil {
			results[i] = map[string]string{"error": err.Error()}
		} else {
			results[i] = map[string]string{"text": out.String()}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		panic(err)
	}
}
