package protocol

import "github.com/twmb/franz-go/pkg/kmsg"

// FetchResponse is a kmsg.FetchResponse whose records are elsewhere: Sources has one entry for each
// partition, in the order of the response; nil is empty. The RecordBatches fields are ignored.
type FetchResponse struct {
	*kmsg.FetchResponse
	Sources []RecordSource
}

// Part is a piece of an encoded response: bytes, or a source to be sent.
type Part struct {
	Bytes  []byte
	Source RecordSource
}

// AppendParts encodes the body (no header) as pieces; size is the sum of their lengths.
func (r *FetchResponse) AppendParts(parts []Part) (out []Part, size int) { panic("being built") }
