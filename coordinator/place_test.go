package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysLieWhereJavaPutsThem(t *testing.T) {
	require.Equal(t, int32(0), javaHash(""))
	require.Equal(t, int32(97), javaHash("a"))
	require.Equal(t, int32(-1<<31), javaHash("polygenelubricants"))
	require.Equal(t, int32(0), PartitionFor("polygenelubricants", 50), "abs of the smallest int is 0")
	require.Equal(t, int32(1772899), javaHash("😀"), "a surrogate pair counts as two")
	require.Equal(t, int32(98629247%50), PartitionFor("group", 50))
}
