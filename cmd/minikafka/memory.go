package main

import (
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory makes Go's collector respect the container's memory, unless GOMEMLIMIT says otherwise.
// (The limit of open files needs nothing: Go raises it to the hard one when a program starts.)
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, ok := memoryLimit(string(text)); ok {
			debug.SetMemoryLimit(limit)
			log.Debug("memory limit", "bytes", limit, "from", path)
		}
		return
	}
}

// memoryLimit is nine tenths of a cgroup's limit; false where there is none ("max", or version 1's
// number near 2^63).
func memoryLimit(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n > 1<<50 {
		return 0, false
	}
	return n / 10 * 9, true
}
