package protocol

import "fmt"

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
