//go:build !race

package protocol

// raceFactor is how many times the memory of an uninstrumented build is allowed.
const raceFactor = 1
