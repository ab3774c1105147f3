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
	gzipWriters  [gzip.BestCompression + 1]sync.Pool
	lz4Writers   [lz4Levels + 1]sync.Pool
	zstdEncoders [zstd.SpeedBestCompression + 1]zstdEncoder
)

// zstdEncoder is made when it is first wanted, and shared.
type zstdEncoder struct {
	once    sync.Once
	encoder *zstd.Encoder
	err     error
}

func (e *zstdEncoder) get(speed zstd.EncoderLevel) (*zstd.Encoder, error) {
	e.once.Do(func() {
		e.encoder, e.err = zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(speed))
	})
	return e.encoder, e.err
}

// AppendCompressed appends src compressed by codec, as a batch's body: gzip, the Java library's snappy
// stream, an lz4 or a zstd frame. level is Kafka's of that codec (compression.gzip.level and the like), 0 its
// default. The error is a compressor's, or says that there is no such codec.
func AppendCompressed(dst []byte, codec Codec, level int32, src []byte) ([]byte, error) {
	switch codec {
	case CodecNone:
		return append(dst, src...), nil
	case CodecGzip:
		return appendGzip(dst, int(level), src)
	case CodecSnappy:
		return appendSnappy(dst, src), nil
	case CodecLz4:
		return appendLz4(dst, int(level), src)
	case CodecZstd:
		speed := zstdSpeed(int(level))
		encoder, err := zstdEncoders[speed].get(speed)
		if err != nil {
			return nil, err
		}
		return encoder.EncodeAll(src, dst), nil
	default:
		return nil, fmt.Errorf("%w id: %d", ErrUnknownCodec, int8(codec))
	}
}

func appendGzip(dst []byte, level int, src []byte) ([]byte, error) {
	if level < gzip.BestSpeed || level > gzip.BestCompression {
		level = 0 // the library's own choice, as -1 is in Kafka
	}
	w, _ := gzipWriters[level].Get().(resettable)
	if w == nil {
		of := level
		if of == 0 {
			of = gzip.DefaultCompression
		}
		var err error
		if w, err = gzip.NewWriterLevel(nil, of); err != nil {
			return nil, err
		}
	}
	defer gzipWriters[level].Put(w)
	return appendStream(dst, w, src)
}

const (
	lz4Levels  = 9 // of the compressor that searches; 0 is the fast one
	lz4Default = 9 // Kafka's default level: its name for the fast compressor
)

func appendLz4(dst []byte, level int, src []byte) ([]byte, error) {
	switch {
	case level <= 0 || level == lz4Default:
		level = 0
	case level > lz4Levels: // Kafka's library knows up to 17
		level = lz4Levels
	}
	w, _ := lz4Writers[level].Get().(*lz4.Writer)
	if w == nil {
		w = lz4.NewWriter(nil)
		if level > 0 {
			if err := w.Apply(lz4.CompressionLevelOption(lz4.CompressionLevel(1 << (8 + level)))); err != nil {
				return nil, err
			}
		}
	}
	defer lz4Writers[level].Put(w)
	return appendStream(dst, w, src)
}

// zstdSpeed is the encoder that stands for one of zstd's levels (-131072 to 22): our library has four.
func zstdSpeed(level int) zstd.EncoderLevel {
	if level == 0 { // zstd's own name for its default
		return zstd.SpeedDefault
	}
	return zstd.EncoderLevelFromZstd(level)
}

func appendStream(dst []byte, w resettable, src []byte) ([]byte, error) {
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
