package logstore

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormatDocumentNamesFilesThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/format.md")
	require.NoError(t, err)
	names := regexp.MustCompile("`((?:logstore|protocol|internal)/[a-z/]+\\.go)`").FindAllSubmatch(text, -1)
	require.Greater(t, len(names), 10)
	for _, name := range names {
		_, err := os.Stat(filepath.Join("..", string(name[1])))
		require.NoError(t, err)
	}
}
