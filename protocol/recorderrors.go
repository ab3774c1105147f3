package protocol

// RecordErrors is ErrInvalidRecord or ErrInvalidTimestamp with the records that are at fault (Produce
// v8+). Records holds at most maxRecordErrors of them: Kafka lists all, but a compressed batch can hold
// more than an answer should.
type RecordErrors struct {
	Err     error  // unwraps to it
	Message string // the partition's error_message
	Records []RecordError
}

// maxRecordErrors bounds the memory that a refused batch costs.
const maxRecordErrors = 1000

// RecordError is one row of record_errors.
type RecordError struct {
	Index   int32
	Message string
}

func (e *RecordErrors) Error() string { return e.Message }
func (e *RecordErrors) Unwrap() error { return e.Err }
