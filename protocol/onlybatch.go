package protocol

// OnlyBatch is the one batch of a partition in a produce request. It checks what Kafka checks before it
// looks at acks and the partition (ProduceRequest.validateRecords); Validate includes it.
func OnlyBatch(records []byte, version int16) (Batch, error) { return onlyBatch(records, version) }
