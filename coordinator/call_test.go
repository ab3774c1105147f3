package coordinator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSoonWaitsForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := newCall(), newCall()
		go func() {
			time.Sleep(brief / 2)
			quick.finish("quick", nil)
			time.Sleep(time.Minute)
			slow.finish("slow", nil)
		}()
		began := time.Now()
		answer, err, ready := quick.Soon()
		require.NoError(t, err)
		require.True(t, ready)
		require.Equal(t, "quick", answer)
		_, _, ready = slow.Soon()
		require.False(t, ready)
		require.Equal(t, brief/2+brief, time.Since(began))
		answer, err = slow.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "slow", answer)
	})
}
