package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

// What the host's library makes of a name.
type spelling struct {
	Name       string `json:"name"`
	Refused    bool   `json:"refused,omitempty"`
	Registry   string `json:"registry,omitempty"`
	Repository string `json:"repository,omitempty"`
	Identifier string `json:"identifier,omitempty"`
}

// ../data/references.json is what go-containerregistry says; the tests in Rust hold our parser
// against it. `RECORD=1 go test -count=1 -run Names .` writes it anew for the names in it.
func TestNamesMeanWhatTheTableSays(t *testing.T) {
	const path = "../data/references.json"
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var table []spelling
	if err := json.Unmarshal(bytes, &table); err != nil {
		t.Fatal(err)
	}
	for i, row := range table {
		found := spelling{Name: row.Name, Refused: true}
		if reference, err := name.ParseReference(row.Name); err == nil {
			found = spelling{row.Name, false, reference.Context().RegistryStr(), reference.Context().RepositoryStr(), reference.Identifier()}
		}
		if os.Getenv("RECORD") == "" && found != row {
			t.Errorf("%q: %+v; the table says %+v", row.Name, found, row)
		}
		table[i] = found
	}
	if os.Getenv("RECORD") != "" {
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		file.WriteString("[\n")
		for i, row := range table {
			line, _ := json.Marshal(row)
			if i > 0 {
				file.WriteString(",\n")
			}
			file.WriteString(" ")
			file.Write(line)
		}
		file.WriteString("\n]\n")
	}
}
