package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write known_gen.go and docs/configs.md anew")

// kafkaRow is a line of configs-4.4.0.tsv.
type kafkaRow struct{ kind, name, typ, def, valid, importance, mode string }

func kafkaRows(t *testing.T) (rows []kafkaRow, synonyms map[string]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/configs-4.4.0.tsv")
	require.NoError(t, err)
	synonyms = map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case strings.HasPrefix(line, "#"), f[0] == "quota": // quotas are no configurations of a resource
		case f[0] == "synonym":
			synonyms[f[1]] = f[2]
		default:
			f = append(f, "", "")
			rows = append(rows, kafkaRow{f[0], f[1], f[2], f[3], f[4], f[5], f[6]})
		}
	}
	require.Len(t, synonyms, 31)
	require.Greater(t, len(rows), 400)
	return rows, synonyms
}

var scopes = map[string]Scope{
	"broker": BrokerScope, "topic": TopicScope, "group": GroupScope, "client-metrics": ClientMetricsScope,
}

// TestRowsEqualKafkas compares every row's name, type, default, range and update mode with Kafka's own.
func TestRowsEqualKafkas(t *testing.T) {
	rows, synonyms := kafkaRows(t)
	seen := map[Scope]int{}
	for _, k := range rows {
		r := Lookup(scopes[k.kind], k.name)
		require.NotNil(t, r, "%s %s: no row", k.kind, k.name)
		seen[r.Scope]++
		require.Equal(t, k.typ, r.Type.String(), k.name)
		require.Equal(t, k.def, kafkaDefault(r), k.name)
		valid := ""
		if r.Valid != nil {
			valid = r.Valid.String()
		}
		require.Equal(t, k.valid, valid, k.name)
		if k.kind == "broker" {
			require.Equal(t, k.mode, r.Mode.String(), k.name)
		}
		if k.kind == "topic" && synonyms[k.name] != "" {
			require.NotEmpty(t, r.Synonyms(), k.name)
			require.Equal(t, synonyms[k.name], r.Synonyms()[0].Name)
		} else if k.kind == "topic" {
			require.Empty(t, r.Synonyms(), k.name)
		}
	}
	for s, n := range seen {
		require.Len(t, Rows(s), n, "a row that Kafka has not")
	}
}

// kafkaDefault writes a default as the list of Kafka's does.
func kafkaDefault(r *Row) string {
	text, ok := r.Default()
	switch {
	case r.Required():
		return "REQUIRED"
	case !ok:
		return "null"
	case r.Type == List && text == "":
		return "[]"
	case r.Type == List:
		return "[" + strings.Join(strings.Split(text, ","), ", ") + "]"
	case r.Type == Class:
		return "class " + text
	}
	return text
}

func TestEveryDefaultParses(t *testing.T) {
	for s := BrokerScope; s <= ClientMetricsScope; s++ {
		for _, r := range Rows(s) {
			if text, ok := r.Default(); ok {
				_, err := r.Parse(text)
				require.NoError(t, err, r.Name)
				require.Equal(t, text, r.Canonical(text), r.Name)
			}
		}
	}
}

func TestDeclaredRowsAndTopicConfigsAreDocumented(t *testing.T) {
	for _, r := range slices.Concat(declared, Rows(TopicScope)) {
		require.NotEmpty(t, r.Doc, r.Name)
		require.True(t, strings.HasSuffix(r.Doc, "."), r.Name)
	}
}

// TestEveryTypedKeyIsRead parses the sources: an exported key that no other package names is a row
// that claims an effect and has none. Give it the option noEffect, or read it.
func TestEveryTypedKeyIsRead(t *testing.T) {
	read := map[string]bool{}
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || path == filepath.Join(root, "config")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			namesOfConfig(t, path, read)
		}
		return nil
	}))
	var unread []string
	for _, name := range exportedKeys(t) {
		if !read[name] {
			unread = append(unread, name)
		}
	}
	require.Empty(t, unread, "typed keys that nobody reads")
}

// namesOfConfig notes every X of an expression config.X.
func namesOfConfig(t *testing.T, path string, read map[string]bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	if !slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"minikafka/config"` }) {
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if p, ok := s.X.(*ast.Ident); ok && p.Name == "config" {
				read[s.Sel.Name] = true
			}
		}
		return true
	})
}

// exportedKeys are the exported package variables that are initialised by a declaring function.
func exportedKeys(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				if v, ok := s.(*ast.ValueSpec); ok && v.Names[0].IsExported() && isDeclaration(v) {
					names = append(names, v.Names[0].Name)
				}
			}
		}
	}
	return names
}

var declaringFunctions = []string{
	"boolean", "short", "number", "size", "long", "millis", "double", "text", "class", "list",
}

func isDeclaration(v *ast.ValueSpec) bool {
	if len(v.Values) != 1 {
		return false
	}
	call, ok := v.Values[0].(*ast.CallExpr)
	if !ok {
		return false
	}
	fn, ok := call.Fun.(*ast.Ident)
	return ok && slices.Contains(declaringFunctions, fn.Name)
}

// TestKnownRowsAreCurrent regenerates known_gen.go: every row of Kafka's that is not declared by hand.
func TestKnownRowsAreCurrent(t *testing.T) {
	rows, _ := kafkaRows(t)
	isDeclared := map[Scope]map[string]bool{BrokerScope: {}, TopicScope: {}}
	for _, r := range declared {
		isDeclared[r.Scope][r.Name] = true
		if r.topic != nil {
			isDeclared[TopicScope][r.topic.Name] = true
		}
	}
	var b strings.Builder
	b.WriteString("// Code generated by go test ./config -run TestKnownRowsAreCurrent -update; DO NOT EDIT.\n\n" +
		"package config\n\n" +
		"// known are the rows of Kafka's (testdata/configs-4.4.0.tsv) that no typed key declares.\n" +
		"var known = []Row{\n")
	for _, k := range rows {
		if !isDeclared[scopes[k.kind]][k.name] {
			b.WriteString("\t" + rowSource(t, k) + ",\n")
		}
	}
	b.WriteString("}\n")
	source, err := format.Source([]byte(b.String()))
	require.NoError(t, err)
	current(t, "known_gen.go", string(source))
}

// current compares a generated file with what it should be, or writes it.
func current(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	if want != string(have) {
		t.Errorf("%s is stale: go test ./config -update (twice: the second run sees the rows of the first)", path)
	}
}

// TestDocsAreCurrent regenerates docs/configs.md.
func TestDocsAreCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!-- Generated by go test ./config -run TestDocsAreCurrent -update; do not edit. -->\n" +
		"# Configurations\n\n" +
		"Every name of Apache Kafka 4.4.0, with its type, default, range and update mode. " +
		"A value comes from, strongest first: the topic, this broker's dynamic configs, the dynamic default of all brokers, " +
		"`--override`, `KAFKA_*` variables, server.properties, the default.\n\n" +
		"`minikafka` without arguments starts as if server.properties held:\n\n```\n")
	dev := Dev("DATA_DIR")
	for _, name := range slices.Sorted(maps.Keys(dev)) {
		b.WriteString(name + "=" + dev[name] + "\n")
	}
	b.WriteString("```\n")
	for _, part := range []struct {
		title  string
		scope  Scope
		effect bool
	}{
		{"Topic configurations", TopicScope, true},
		{"Broker configurations", BrokerScope, true},
		{"Topic configurations that are kept, and change nothing yet", TopicScope, false},
		{"Broker configurations that are described, and change nothing yet (a start warns of each that is set)", BrokerScope, false},
	} {
		b.WriteString("\n## " + part.title + "\n\n")
		for _, r := range Rows(part.scope) {
			if r.Effect == part.effect {
				b.WriteString(rowDoc(r))
			}
		}
	}
	current(t, "../docs/configs.md", b.String())
}

func rowDoc(r *Row) string {
	line := fmt.Sprintf("- `%s` (%s", r.Name, strings.ToLower(r.Type.String()))
	if text, ok := r.Default(); ok && text != "" {
		line += ", default " + text
	}
	if r.Required() {
		line += ", required"
	}
	if r.Valid != nil && r.Valid.String() != "" {
		line += ", " + r.Valid.String()
	}
	if r.Scope == BrokerScope {
		line += ", " + r.Mode.String()
	}
	line += ")"
	if len(r.Synonyms()) > 0 {
		line += ", from `" + r.Synonyms()[0].Name + "`"
	}
	if r.Doc != "" {
		line += ": " + r.Doc
	}
	return line + "\n"
}

func rowSource(t *testing.T, k kafkaRow) string {
	t.Helper()
	types := map[string]string{
		"BOOLEAN": "Boolean", "STRING": "String", "INT": "Int", "SHORT": "Short", "LONG": "Long",
		"DOUBLE": "Double", "LIST": "List", "CLASS": "Class", "PASSWORD": "PasswordText",
	}
	def := fmt.Sprintf("%q", k.def)
	switch {
	case k.def == "null":
		def = "null"
	case k.def == "REQUIRED":
		def = "required"
	case k.typ == "LIST":
		def = fmt.Sprintf("%q", strings.ReplaceAll(strings.Trim(k.def, "[]"), ", ", ","))
	case k.typ == "CLASS":
		def = fmt.Sprintf("%q", strings.TrimPrefix(k.def, "class "))
	}
	switch k.kind {
	case "broker":
		modes := map[string]string{"read-only": "ReadOnly", "per-broker": "PerBroker", "cluster-wide": "ClusterWide"}
		return fmt.Sprintf("knownBroker(%q, %s, %s, %s, %s)", k.name, types[k.typ], def, modes[k.mode], validSource(t, k))
	case "group":
		return fmt.Sprintf("knownGroup(%q, %s, %s, %s)", k.name, types[k.typ], def, validSource(t, k))
	case "client-metrics":
		return fmt.Sprintf("knownMetrics(%q, %s, %s, %s)", k.name, types[k.typ], def, validSource(t, k))
	}
	t.Fatalf("topic config %s must be declared by hand: all of them are documented", k.name)
	return ""
}

// filledLists do not take an empty list, which the dumped texts do not show (observed on 4.4.0's ConfigDef).
var filledLists = []string{
	"group.consumer.assignors", "group.share.assignors", "group.streams.assignors", "group.coordinator.rebalance.protocols",
}

var rangeText = regexp.MustCompile(`^\[(-?[0-9]+),\.\.\.(?:,(-?[0-9]+))?\]$`)

func validSource(t *testing.T, k kafkaRow) string {
	t.Helper()
	values := ""
	if strings.HasSuffix(k.valid, "]") {
		for i, v := range strings.Split(strings.Trim(k.valid[strings.Index(k.valid, "["):], "[]"), ", ") {
			if i > 0 {
				values += ", "
			}
			values += fmt.Sprintf("%q", v)
		}
	}
	isFilled := slices.Contains(filledLists, k.name)
	switch r := rangeText.FindStringSubmatch(k.valid); {
	case r != nil && r[2] == "":
		return "Range{" + r[1] + ", open}"
	case r != nil:
		return "Range{" + r[1] + ", " + r[2] + "}"
	case k.typ == "LIST" && values != "":
		return fmt.Sprintf("ListOf{Values: []string{%s}, NonEmpty: %v}", values, isFilled)
	case k.typ == "LIST":
		return fmt.Sprintf("ListOf{NonEmpty: %v, Shown: %q}", isFilled, k.valid)
	case k.name == "share.auto.offset.reset":
		return "offsetReset{}"
	case strings.HasPrefix(k.valid, "(case insensitive) "):
		return fmt.Sprintf("OneOf{Values: []string{%s}, IgnoreCase: true}", values)
	case values != "":
		return fmt.Sprintf("OneOf{Values: []string{%s}}", values)
	case k.valid == "non-empty string":
		return "nonEmpty{}"
	case k.valid == "non-null string":
		return "nonNull{}"
	case k.valid == "":
		return "nil"
	}
	t.Fatalf("%s: no validator for %q", k.name, k.valid)
	return ""
}
