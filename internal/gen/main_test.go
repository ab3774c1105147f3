package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommittedFilesAreWhatTheGeneratorWrites(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	files, err := outputs()
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s is stale: run make gen", path)
	}
}

func TestParserRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for _, bad := range []string{
		"v0 a int32",
		"== A key x versions 0-0\n",
		"== A key 1 versions 0-0\nv0 a",
		"== A key 1 versions 0-0\nv0 a [int32",
		"== A key 1 versions 0-0\nv0 a {b int32",
		"== A key 1 versions 0-0\nv0 a int32 (",
		"== A key 1 versions 0-0\nv0 tags(x:a int32)",
	} {
		_, err := parse(bad)
		require.Error(t, err, "%q", bad)
	}
}
