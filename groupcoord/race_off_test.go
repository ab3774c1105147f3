//go:build !race

package groupcoord

// consumerOperations is how many random operations TestConsumerModel does.
const consumerOperations = 1_000_000
