// Package txncoord is the transaction coordinator: who may write under a transactional id, which
// partitions its transaction has, and how it ends. Machine is the pure part; Service runs one machine for each
// led partition of __transaction_state, and writes the markers that end a transaction on its partitions.
//
// What is not obvious:
//   - Kafka refuses a request that comes while the markers of the last transaction are under way with
//     CONCURRENT_TRANSACTIONS, and clients back off. Here the request waits for the markers inside the
//     machine, for up to maxWait; only then it is refused.
//   - A step's records are in memory when the step returns, not when they are committed. Answers and
//     markers wait for the commit in the shard; a shard whose append fails forgets all and loads anew.
//   - Markers of one transactional id have one sender at a time: with the first version of transactions the
//     epoch stays, and a marker that comes late would end the next transaction.
//   - An epoch never passes 32766 on the wire: the transaction that uses it up ends with a new producer
//     id and epoch 0.
package txncoord
