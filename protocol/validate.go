package protocol

// ValidateOptions are the topic's rules.
type ValidateOptions struct {
	Topic                   string
	Partition               int32 // for messages
	ProduceVersion          int16
	MaxMessageBytes         int32
	Compacted               bool // a key is required
	LogAppendTime           bool // message.timestamp.type
	BeforeMaxMs, AfterMaxMs int64
	CompressionType         string // "producer" keeps what came
	NowMs                   int64
	Internal                bool // control batches and sequences are the coordinator's business
}

// Validate checks one partition's records of a produce request in Kafka's order (log-format.md, section
// 6) and returns the bytes to append: records itself, changed in place where needed, or a rebuilt batch.
func Validate(records []byte, o ValidateOptions) (out []byte, err error) { panic("being built") }
