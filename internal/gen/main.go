// Command gen writes the Go files that follow from Kafka's own wire layouts: the codecs of the metadata
// log's records (metadata/record_gen.go, metadata/control_gen.go), those of consumer groups
// (groupcoord/record_gen.go), and the tables of the check that
// untrusted requests pass before they are decoded (protocol/schema_gen.go).
//
// Its input lies beside it: the layouts of every request, response and record of Apache Kafka 4.4.0,
// dumped from its released jars. `go run ./internal/gen` (or `go generate ./...`) rewrites the
// files; a test fails when what is committed is not what it writes.
package main

//go:generate go run .

import (
	_ "embed"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
)

//go:embed api-schemas-4.4.0.txt
var apiSchemas string

//go:embed record-schemas-4.4.0.txt
var recordSchemas string

// outputs are the generated files by their path in the module.
func outputs() (map[string][]byte, error) {
	records, err := parse(recordSchemas)
	if err != nil {
		return nil, fmt.Errorf("record schemas: %w", err)
	}
	out := map[string]string{}
	if out["metadata/record_gen.go"], err = metadataRecords(records); err != nil {
		return nil, fmt.Errorf("metadata records: %w", err)
	}
	if out["metadata/control_gen.go"], err = controlRecords(records); err != nil {
		return nil, fmt.Errorf("control records: %w", err)
	}
	if out["groupcoord/record_gen.go"], err = groupRecords(records); err != nil {
		return nil, fmt.Errorf("group records: %w", err)
	}
	apis, err := parse(apiSchemas)
	if err != nil {
		return nil, fmt.Errorf("api schemas: %w", err)
	}
	if out["protocol/schema_gen.go"], err = requestTables(apis); err != nil {
		return nil, fmt.Errorf("request tables: %w", err)
	}
	formatted := map[string][]byte{}
	for path, text := range out {
		b, err := format.Source([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", path, err, text)
		}
		formatted[path] = b
	}
	return formatted, nil
}

// moduleRoot is the nearest directory upwards that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above %s", dir)
		}
		dir = parent
	}
}

func run() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	files, err := outputs()
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(root, path), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
