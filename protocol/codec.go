package protocol

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is the compression of a batch's records, by its id in the attributes.
type Codec int8

// The codecs. A header can name others (5 to 7): they are errors.
const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLz4
	CodecZstd
)

func (c Codec) String() string {
	switch c {
	case CodecNone:
		return "none"
	case CodecGzip:
		return "gzip"
	case CodecSnappy:
		return "snappy"
	case CodecLz4:
		return "lz4"
	case CodecZstd:
		return "zstd"
	default:
		return fmt.Sprintf("unknown compression type id: %d", int8(c))
	}
}

// CodecForType is the codec of a compression.type; ok is false for "producer" (keep what comes) and for
// names that are none.
func CodecForType(compressionType string) (c Codec, ok bool) {
	switch compressionType {
	case "none", "uncompressed":
		return CodecNone, true
	case "gzip":
		return CodecGzip, true
	case "snappy":
		return CodecSnappy, true
	case "lz4":
		return CodecLz4, true
	case "zstd":
		return CodecZstd, true
	default:
		return 0, false
	}
}

// snappyBlockSize is the Java library's.
const snappyBlockSize = 32 << 10

// sink appends what a compressor writes.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// resettable is what the pooled stream compressors have in common.
type resettable interface {
	io.WriteCloser
	Reset(w io.Writer)
}

//nolint:gochecknoglobals // compressors are dear, and hold no state between uses
var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Writers  = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true))
	})
)

// AppendCompressed appends src compressed by codec, as a batch's body: gzip, the Java library's snappy
// stream, an lz4 or a zstd frame. The error is a compressor's, or says that there is no such codec.
func AppendCompressed(dst []byte, codec Codec, src []byte) ([]byte, error) {
	switch codec {
	case CodecNone:
		return append(dst, src...), nil
	case CodecGzip:
		return appendStream(dst, &gzipWriters, src)
	case CodecSnappy:
		return appendSnappy(dst, src), nil
	case CodecLz4:
		return appendStream(dst, &lz4Writers, src)
	case CodecZstd:
		encoder, err := zstdEncoder()
		if err != nil {
			return nil, err
		}
		return encoder.EncodeAll(src, dst), nil
	default:
		return nil, fmt.Errorf("%w id: %d", ErrUnknownCodec, int8(codec))
	}
}

func appendStream(dst []byte, pool *sync.Pool, src []byte) ([]byte, error) {
	w := pool.Get().(resettable)
	defer pool.Put(w)
	out := sink{dst}
	w.Reset(&out)
	defer w.Reset(io.Discard) // let go of dst
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.b, nil
}

func appendSnappy(dst, src []byte) []byte {
	dst = append(dst, snappyMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
	buf := make([]byte, snappy.MaxEncodedLen(min(snappyBlockSize, len(src))))
	for len(src) > 0 {
		n := min(snappyBlockSize, len(src))
		block := snappy.Encode(buf, src[:n])
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
		dst = append(dst, block...)
		src = src[n:]
	}
	return dst
}
