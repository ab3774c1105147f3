package broker

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAdminHTTPIsOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.org:0", "127.0.0.1"} {
		_, err := openAdminHTTP(address)
		require.Error(t, err, address)
	}
}

func TestAdminHTTPHasProfilesAndEndsWithTheBroker(t *testing.T) {
	a, err := openAdminHTTP("127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + a.listener.Addr().String() + "/debug/pprof/goroutine?debug=1"
	resp, err := http.Get(url)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(text), "TestAdminHTTPHasProfiles")
	require.NoError(t, a.close(context.Background()))
	_, err = http.Get(url) //nolint:bodyclose // there is no answer
	require.Error(t, err)
}
