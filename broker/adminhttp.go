package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"
)

// The HTTP listener for who looks after the broker. It is off by default and on loopback only, as it asks
// nobody who they are: profiles tell what is in memory, and taking one costs CPU.
//
//	/debug/pprof/   Go's profiles: profile, heap, mutex, block, goroutine, trace
const (
	// mutexProfileFraction: one in so many contended unlocks is sampled.
	mutexProfileFraction = 100
	// blockProfileRate: a sample for so many nanoseconds of blocking.
	blockProfileRate = int(time.Millisecond)
)

// adminHTTP is that listener.
type adminHTTP struct {
	listener net.Listener
	server   *http.Server
}

// openAdminHTTP serves on address, host:port of a loopback interface.
func openAdminHTTP(address string) (*adminHTTP, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("admin HTTP address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("admin HTTP address %q is not on a loopback interface", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin HTTP: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	runtime.SetMutexProfileFraction(mutexProfileFraction)
	runtime.SetBlockProfileRate(blockProfileRate)
	a := &adminHTTP{listener: l, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = a.server.Serve(l) }() // ends with close
	return a, nil
}

func (a *adminHTTP) close(ctx context.Context) error {
	runtime.SetMutexProfileFraction(0)
	runtime.SetBlockProfileRate(0)
	if err := a.server.Shutdown(ctx); err != nil { // a profile is still being taken: it is cut off
		return errors.Join(a.server.Close())
	}
	return nil
}
