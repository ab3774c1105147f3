package handlers

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/logstore"
	"minikafka/protocol"
)

// errNames are the exported Err* variables that a package's files declare, or, of errors.go's table,
// those that it names.
func errNames(t *testing.T, file string, node func(*ast.File) []string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	return node(f)
}

func declaredErrs(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				if strings.HasPrefix(n.Name, "Err") {
					names = append(names, f.Name.Name+"."+n.Name)
				}
			}
		}
	}
	return names
}

func tableErrs(f *ast.File) (names []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "errorTable" {
			return true
		}
		for _, row := range v.Values[0].(*ast.CompositeLit).Elts {
			switch e := row.(*ast.CompositeLit).Elts[0].(type) {
			case *ast.SelectorExpr:
				names = append(names, e.X.(*ast.Ident).Name+"."+e.Sel.Name)
			case *ast.Ident:
				names = append(names, "handlers."+e.Name)
			}
		}
		return false
	})
	return names
}

// internalErrs never reach a handler: they end a start or a connection, or a record is passed over.
var internalErrs = map[string]string{
	"protocol.ErrMalformedRecord": "a coordinator or the controller read it in its log",

	"protocol.ErrFrameSize":  "the connection is closed",
	"protocol.ErrUnknownAPI": "the connection is closed",
	"protocol.ErrBadHeader":  "the connection is closed",
	"protocol.ErrBadRequest": "the connection is closed",
}

func TestEveryExportedErrorHasACode(t *testing.T) {
	mapped := map[string]bool{}
	for _, n := range errNames(t, "errors.go", tableErrs) {
		require.False(t, mapped[n], "%s has two rows", n)
		mapped[n] = true
	}
	require.NotEmpty(t, mapped)
	declared := map[string]bool{}
	for _, pkg := range []string{"logstore", "replication", "protocol", "security", "handlers"} {
		err := filepath.WalkDir(filepath.Join("..", pkg), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, n := range errNames(t, path, declaredErrs) {
				declared[n] = true
				if internalErrs[n] == "" {
					require.True(t, mapped[n], "%s (%s) has no row in errorTable", n, path)
				}
			}
			return nil
		})
		if pkg == "security" && errors.Is(err, os.ErrNotExist) {
			continue // it comes with the authorizer
		}
		require.NoError(t, err)
	}
	require.True(t, declared["logstore.ErrStorage"] && declared["protocol.ErrCorrupt"])
	for n := range internalErrs {
		require.True(t, declared[n], "%s is not declared any more", n)
	}
}

func TestCodesOldClientsKnow(t *testing.T) {
	h := &Handlers{Logger: slog.New(slog.DiscardHandler)}
	wrapped := fmt.Errorf("append t-0: %w", logstore.ErrStorage)
	for _, c := range []struct {
		err     error
		key     kmsg.Key
		version int16
		want    *kerr.Error
	}{
		{wrapped, kmsg.Fetch, 5, kerr.NotLeaderForPartition},
		{wrapped, kmsg.Fetch, 6, kerr.KafkaStorageError},
		{wrapped, kmsg.ListOffsets, 1, kerr.KafkaStorageError},
		{errNotAdded, kmsg.Produce, 10, kerr.InvalidTxnState},
		{protocol.ErrShortBatch, kmsg.Produce, 9, kerr.CorruptMessage},
		{&protocol.RecordErrors{Err: protocol.ErrInvalidTimestamp}, kmsg.Produce, 9, kerr.InvalidTimestamp},
		{errors.New("of nobody"), kmsg.Produce, 9, kerr.UnknownServerError},
		{kerr.NotController, kmsg.Produce, 9, kerr.NotController},
	} {
		require.Equal(t, c.want.Code, h.codeOf(c.err, c.key, c.version), "%v", c)
	}
	require.Zero(t, h.codeOf(nil, kmsg.Fetch, 1))
}
