// Package archtest reads the module's source and says where it breaks the written policy: who may
// import whom, how long files and functions may be, and that every package says what it is for. It
// parses files itself: `go list` behind a cached test result would not notice a new import.
package archtest

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Module is this module's path.
const Module = "minikafka"

// Limits on the tail, not the median.
const (
	MaxFileLines     = 600
	MaxFunctionLines = 70
)

// Source is one parsed Go file of the module.
type Source struct {
	Path      string // from the module's root, with slashes
	Package   string // directory from the root; the root itself is "."
	Test      bool
	Generated bool
	Lines     int
	file      *ast.File
	set       *token.FileSet
}

// Load parses every Go file below root, except nested modules, testdata and hidden directories.
func Load(root string) ([]Source, error) {
	var sources []Source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(root, path, d.Name())
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		s, err := load(root, path)
		if err != nil {
			return err
		}
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

func skipDir(root, path, name string) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || name == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func load(root, path string) (Source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Source{}, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return Source{}, err
	}
	rel = filepath.ToSlash(rel)
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, rel, text, parser.ParseComments)
	if err != nil {
		return Source{}, err
	}
	dir := "."
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		dir = rel[:i]
	}
	return Source{
		Path: rel, Package: dir, Test: strings.HasSuffix(rel, "_test.go"),
		Generated: ast.IsGenerated(file), Lines: bytes.Count(text, []byte("\n")), file: file, set: set,
	}, nil
}

// Imports are the paths that the file imports.
func (s Source) Imports() []string {
	paths := make([]string, 0, len(s.file.Imports))
	for _, i := range s.file.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

// Documented says whether the file carries its package's documentation.
func (s Source) Documented() bool {
	return s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != ""
}

// Function is a function or method and its length in lines, braces included.
type Function struct {
	Name  string // Receiver.Name for methods
	Lines int
}

// Functions are the file's functions.
func (s Source) Functions() []Function {
	var all []Function
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil && len(f.Recv.List) > 0 {
			name = receiver(f.Recv.List[0].Type) + "." + name
		}
		lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
		all = append(all, Function{name, lines})
	}
	return all
}

func receiver(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return "?"
}

// Layers is the import policy: a package and what it may import of the module.
type Layers map[string][]string

// ParseLayers reads `a : b c` lines.
func ParseLayers(text string) (Layers, error) {
	layers := Layers{}
	scan := bufio.NewScanner(strings.NewReader(text))
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, may, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("layers: no colon in %q", line)
		}
		name = strings.TrimSpace(name)
		if _, twice := layers[name]; twice {
			return nil, fmt.Errorf("layers: %s is there twice", name)
		}
		for _, m := range strings.Fields(may) {
			if _, lower := layers[m]; !lower {
				return nil, fmt.Errorf("layers: %s may not import %s, which is not below it", name, m)
			}
		}
		layers[name] = strings.Fields(may)
	}
	return layers, scan.Err()
}

// below is everything that pkg reaches.
func (l Layers) below(pkg string) map[string]bool {
	reached := map[string]bool{}
	var visit func(string)
	visit = func(p string) {
		for _, m := range l[p] {
			if !reached[m] {
				reached[m] = true
				visit(m)
			}
		}
	}
	visit(pkg)
	return reached
}

// tool says whether a package is not part of the program: generators and this test.
func tool(pkg string) bool {
	return pkg == "internal/archtest" || pkg == "internal/gen" || strings.HasPrefix(pkg, "internal/gen/")
}

// Violations lists the imports that break the policy. A test may reach whatever its package reaches,
// the seams, and itself; test files of broker, brokertest and above may use any package of theirs.
func (l Layers) Violations(sources []Source) []string {
	var broken []string
	for _, s := range sources {
		if tool(s.Package) {
			continue
		}
		may, known := l[s.Package]
		if !known {
			broken = append(broken, fmt.Sprintf("%s: package %s is not in the layers", s.Path, s.Package))
			continue
		}
		reach := l.below(s.Package)
		for _, path := range s.Imports() {
			p, ours := strings.CutPrefix(path, Module+"/")
			if !ours || p == s.Package {
				continue
			}
			allowed := slices.Contains(may, p)
			if s.Test {
				allowed = allowed || reach[p] || p == "brokertest" || p == "internal/vfs" || p == "internal/clock"
			}
			if !allowed {
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", s.Path, s.Package, p))
			}
		}
	}
	return broken
}

// outside names who may import a foreign module, outside tests: a library stays behind one door.
func outside() map[string][]string {
	return map[string][]string{
		"go.etcd.io/raft/v3":                 {"controller"},
		"github.com/prometheus/":             {"broker"},
		"github.com/spf13/cobra":             {"cmd/minikafka"},
		"github.com/twmb/franz-go/pkg/kgo":   {"web", "cmd/minikafka"},
		"github.com/twmb/franz-go/pkg/kadm":  {"web", "cmd/minikafka"},
		"github.com/twmb/franz-go/pkg/kfake": {},
	}
}

// ForeignViolations lists foreign imports in packages that may not have them.
func ForeignViolations(sources []Source) []string {
	var broken []string
	for _, s := range sources {
		if s.Test || tool(s.Package) {
			continue
		}
		for _, path := range s.Imports() {
			for prefix, may := range outside() {
				if strings.HasPrefix(path, prefix) && !slices.Contains(may, s.Package) {
					broken = append(broken, fmt.Sprintf("%s: %s may not import %s", s.Path, s.Package, path))
				}
			}
		}
	}
	return broken
}

// Exceptions are allowed lengths by path, or path:function.
type Exceptions map[string]int

// ParseExceptions reads `path[:function] lines reason` lines; a row without a reason is an error.
func ParseExceptions(text string) (Exceptions, error) {
	exceptions := Exceptions{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var subject string
		var lines int
		if _, err := fmt.Sscanf(line, "%s %d", &subject, &lines); err != nil {
			return nil, fmt.Errorf("exceptions: %q: %w", line, err)
		}
		if len(strings.Fields(line)) < 4 {
			return nil, fmt.Errorf("exceptions: %q gives no reason", line)
		}
		exceptions[subject] = lines
	}
	return exceptions, nil
}

// Oversized lists what is longer than the limits, and exceptions that are not needed or too generous.
// Generated files may be as long as they are; functions of tests too.
func (e Exceptions) Oversized(sources []Source) []string {
	var broken []string
	used := map[string]bool{}
	check := func(subject string, lines, limit int) {
		allowed, listed := e[subject]
		used[subject] = true
		switch {
		case listed && lines <= limit:
			broken = append(broken, fmt.Sprintf("%s: %d lines is within the limit: remove the exception", subject, lines))
		case listed && lines < allowed:
			broken = append(broken, fmt.Sprintf("%s: %d lines: lower the exception from %d", subject, lines, allowed))
		case lines > max(limit, allowed):
			broken = append(broken, fmt.Sprintf("%s: %d lines, limit %d", subject, lines, max(limit, allowed)))
		}
	}
	for _, s := range sources {
		if s.Generated {
			continue
		}
		check(s.Path, s.Lines, MaxFileLines)
		if s.Test {
			continue
		}
		for _, f := range s.Functions() {
			check(s.Path+":"+f.Name, f.Lines, MaxFunctionLines)
		}
	}
	for subject := range e {
		if !used[subject] {
			broken = append(broken, subject+": an exception for nothing: remove it")
		}
	}
	slices.Sort(broken)
	return broken
}

// Undocumented lists packages of which no file says what they are for.
func Undocumented(sources []Source) []string {
	documented := map[string]bool{}
	for _, s := range sources {
		if !s.Test {
			documented[s.Package] = documented[s.Package] || s.Documented()
		}
	}
	var missing []string
	for p, ok := range documented {
		if !ok {
			missing = append(missing, p)
		}
	}
	slices.Sort(missing)
	return missing
}
