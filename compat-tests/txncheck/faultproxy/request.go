package faultproxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	maxFrame = 64 << 20
	// headerSize is that of the part of a request's header that all versions have: key, version, correlation id.
	headerSize = 8
)

// readFrame reads a frame and returns it with its length before it.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// Request is one on its way to the broker.
type Request struct {
	Key     int16
	Version int16
	frame   []byte
}

func parseRequest(frame []byte) (*Request, error) {
	if len(frame) < 4+headerSize {
		return nil, errors.New("a frame without a request header")
	}
	return &Request{
		Key: int16(binary.BigEndian.Uint16(frame[4:])), Version: int16(binary.BigEndian.Uint16(frame[6:])), frame: frame,
	}, nil
}

// decode returns the request's body and how many bytes come before it.
func (r *Request) decode() (kmsg.Request, int, error) {
	req := kmsg.RequestForKey(r.Key)
	if req == nil {
		return nil, 0, fmt.Errorf("API key %d is not known", r.Key)
	}
	req.SetVersion(r.Version)
	b := kbin.Reader{Src: r.frame[4+headerSize:]}
	b.NullableString() // the client id
	if req.IsFlexible() {
		skipTags(&b)
	}
	if err := b.Complete(); err != nil {
		return nil, 0, err
	}
	return req, len(r.frame) - len(b.Src), req.ReadFrom(b.Src)
}

func skipTags(b *kbin.Reader) {
	for range b.Uvarint() {
		b.Uvarint()
		b.Span(int(b.Uvarint()))
	}
}

// rewrite lets change have the request, and encodes it again when it was changed.
func (r *Request) rewrite(change func(kmsg.Request) bool) error {
	req, at, err := r.decode()
	if err != nil || !change(req) {
		return err
	}
	r.frame = req.AppendTo(slices.Clone(r.frame[:at]))
	binary.BigEndian.PutUint32(r.frame, uint32(len(r.frame)-4))
	return nil
}

// String says what the request is and whose, for the log.
func (r *Request) String() string {
	text := fmt.Sprintf("%s v%d", kmsg.NameForKey(r.Key), r.Version)
	req, _, err := r.decode()
	if err != nil {
		return text + ": " + err.Error()
	}
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		text += produceText(req)
	case *kmsg.EndTxnRequest:
		text += fmt.Sprintf(" %s producer=%d/%d commit=%v", req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit)
	case *kmsg.TxnOffsetCommitRequest:
		text += fmt.Sprintf(" %s producer=%d/%d", req.TransactionalID, req.ProducerID, req.ProducerEpoch)
	case *kmsg.AddPartitionsToTxnRequest:
		text += fmt.Sprintf(" %s producer=%d/%d", req.TransactionalID, req.ProducerID, req.ProducerEpoch)
	case *kmsg.InitProducerIDRequest:
		if req.TransactionalID != nil {
			text += " " + *req.TransactionalID
		}
		text += fmt.Sprintf(" producer=%d/%d", req.ProducerID, req.ProducerEpoch)
	}
	return text
}

// produceText names the batches by what the broker knows them by.
func produceText(req *kmsg.ProduceRequest) string {
	var text strings.Builder
	if req.TransactionID != nil {
		text.WriteString(" " + *req.TransactionID)
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			var b kmsg.RecordBatch
			if b.ReadFrom(p.Records) == nil {
				name := t.Topic
				if name == "" {
					name = fmt.Sprintf("%x", t.TopicID[:4])
				}
				fmt.Fprintf(&text, " %s-%d=%d/%d@%d+%d", name, p.Partition, b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.NumRecords)
			}
		}
	}
	return text.String()
}

// outcome is the error of an answer in words, the worst when it has several.
func outcome(r *Request, frame []byte) string {
	req := kmsg.RequestForKey(r.Key)
	if req == nil || len(frame) < 8 {
		return "no answer that is understood"
	}
	req.SetVersion(r.Version)
	resp := req.ResponseKind()
	b := kbin.Reader{Src: frame[8:]}
	if resp.IsFlexible() && r.Key != kmsg.ApiVersions.Int16() {
		skipTags(&b)
	}
	if err := resp.ReadFrom(b.Src); err != nil {
		return err.Error()
	}
	for _, code := range codes(resp) {
		if err := kerr.ErrorForCode(code); err != nil {
			return kerr.TypedErrorForCode(code).Message
		}
	}
	return "OK"
}

func codes(resp kmsg.Response) (found []int16) {
	switch resp := resp.(type) {
	case *kmsg.ProduceResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				found = append(found, p.ErrorCode)
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				found = append(found, p.ErrorCode)
			}
		}
	case *kmsg.AddPartitionsToTxnResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				found = append(found, p.ErrorCode)
			}
		}
	case *kmsg.EndTxnResponse:
		found = append(found, resp.ErrorCode)
	case *kmsg.InitProducerIDResponse:
		found = append(found, resp.ErrorCode)
	case *kmsg.AddOffsetsToTxnResponse:
		found = append(found, resp.ErrorCode)
	}
	return found
}
