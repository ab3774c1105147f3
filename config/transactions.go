package config

// Transactions.
var (
	TransactionMaxTimeoutMs = millis("transaction.max.timeout.ms", 900000,
		"Longest time-out that a transactional producer may ask for.", asInt, atLeast(1))
	TransactionalIDExpirationMs = millis("transactional.id.expiration.ms", 604800000,
		"How long an idle transactional id is remembered.", asInt, atLeast(1))
	TransactionRemoveExpiredIntervalMs = millis("transaction.remove.expired.transaction.cleanup.interval.ms", 3600000,
		"How often transactional ids are checked for expiry.", asInt, atLeast(1))
	TransactionPartitionVerificationEnable = boolean("transaction.partition.verification.enable", true,
		"Whether a producer of the old transaction protocol is held against its transaction before every append.", clusterWide)
	TransactionStateLogLoadBufferSize = size("transaction.state.log.load.buffer.size", 5242880,
		"Bytes that are read at once when a partition's transactions are loaded.", atLeast(1))
	TransactionStateLogMinISR = number("transaction.state.log.min.isr", 2,
		"Replicas of __transaction_state that must be in sync for a write.", atLeast(1))
	TransactionStateLogNumPartitions = number("transaction.state.log.num.partitions", 50,
		"Partitions of __transaction_state; not to be changed once it is there.", atLeast(1))
	TransactionStateLogReplicationFactor = short("transaction.state.log.replication.factor", 3,
		"Replicas of __transaction_state.", atLeast(1))
	TransactionStateLogSegmentBytes = size("transaction.state.log.segment.bytes", 104857600,
		"Segment size of __transaction_state.", atLeast(1))
)
