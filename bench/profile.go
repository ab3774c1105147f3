package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// adminAddress is where minikafka has its profiles when they are wanted.
const adminAddress = "127.0.0.1:9500"

// profiled runs f while a CPU profile is taken of minikafka, and takes the other profiles after it. The
// figures of such a run are not kept.
func (e *environment) profiled(cell string, f func() error) error {
	if err := os.MkdirAll(e.profile, 0o755); err != nil {
		return err
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, cell)
	path := func(kind string) string { return filepath.Join(e.profile, name+"."+kind+".prof") }
	taken := make(chan error, 1)
	go func() { taken <- download("profile?seconds=4", path("cpu")) }()
	for {
		if err := f(); err != nil {
			return err
		}
		select {
		case err := <-taken:
			for _, kind := range []string{"heap", "mutex", "block"} {
				if err == nil {
					err = download(kind, path(kind))
				}
			}
			return err
		default: // the profile goes on: so does the load
		}
	}
}

func download(what, path string) error {
	resp, err := http.Get("http://" + adminAddress + "/debug/pprof/" + what)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", what, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		return err
	}
	return f.Close()
}

// profileAll takes profiles of minikafka under each cell's load.
func (e *environment) profileAll(list []cell, c *contender) error {
	for i := range list {
		fmt.Fprintf(os.Stderr, "profile of: %s\n", list[i].name)
		err := e.profiled(list[i].name, func() error {
			_, _, err := list[i].run(c, e)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", list[i].name, err)
		}
	}
	return nil
}
