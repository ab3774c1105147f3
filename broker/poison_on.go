//go:build race

package broker

// poisonRecycled: make test runs with the race detector.
const poisonRecycled = true
