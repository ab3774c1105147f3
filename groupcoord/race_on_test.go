//go:build race

package groupcoord

// consumerOperations is how many random operations TestConsumerModel does: a machine has no goroutines, and the
// race detector makes it many times slower.
const consumerOperations = 100_000
