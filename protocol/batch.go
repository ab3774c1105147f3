package protocol

import "errors"

// Errors of framing and validation; handlers/errors.go maps them to Kafka's codes.
var (
	ErrCorrupt          = errors.New("corrupt record batch")      // CORRUPT_MESSAGE
	ErrInvalidRecord    = errors.New("invalid record")            // INVALID_RECORD
	ErrInvalidTimestamp = errors.New("timestamp out of range")    // INVALID_TIMESTAMP
	ErrTooLarge         = errors.New("record batch too large")    // MESSAGE_TOO_LARGE
	ErrUnsupportedCodec = errors.New("compression not supported") // UNSUPPORTED_COMPRESSION_TYPE
)

// RecordErrors is ErrInvalidRecord or ErrInvalidTimestamp with the records that are at fault (Produce v8+).
type RecordErrors struct {
	Err     error  // unwraps to it
	Message string // the partition's error_message
	Records []RecordError
}

// RecordError is one row of record_errors.
type RecordError struct {
	Index   int32
	Message string
}

func (e *RecordErrors) Error() string { return e.Message }
func (e *RecordErrors) Unwrap() error { return e.Err }

// Batch is a zero-copy view of one record batch v2 (61 bytes of header, big-endian).
type Batch []byte

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
