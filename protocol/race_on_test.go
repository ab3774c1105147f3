//go:build race

package protocol

// raceFactor: with the race detector append(s, make(…)...) makes its argument, too.
const raceFactor = 2
