// Package txncoord is the transaction side of the broker: producer ids, and later the transaction
// coordinator.
package txncoord
