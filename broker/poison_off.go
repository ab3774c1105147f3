//go:build !race

package broker

const poisonRecycled = false
