package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	// streamBufferSize is what a stream holds of its output; it grows only for a larger record.
	streamBufferSize = 64 << 10
	// zstdStreamWindow is the largest window that is decoded as a stream, as the format recommends. Frames
	// that ask for more (level 20 and up) are decoded whole, into at most zstdWholeBytes: a window is
	// memory that the frame's header alone can demand.
	zstdStreamWindow = 8 << 20
	zstdWholeBytes   = 64 << 20
)

// UNKNOWN_SERVER_ERROR on the wire: Kafka fails inside its decompressor, and has no code for it. Clients
// do not send such a batch again, as they would on CORRUPT_MESSAGE.
var (
	ErrUnknownCodec = errors.New("unknown compression type")
	ErrUndecodable  = errors.New("records do not decompress")
)

// bodyStream decompresses a batch's body with a limit on the output, and cuts records out of it. It is
// pooled with its decoder and buffer. Errors of its methods: io.EOF, io.ErrUnexpectedEOF, the decoder's,
// ErrTooLarge beyond the limit.
type bodyStream struct {
	codec Codec
	dec   decoder
	buf   []byte
	r, w  int   // buf[r:w] is decompressed and not taken yet
	left  int64 // bytes that may still be decompressed
	read  int64 // bytes decompressed so far
	err   error // of the decoder, once buf[r:w] is used up
}

// decoder is a pooled decompressor.
type decoder interface {
	io.Reader
	reset(body []byte) error
}

var streamPools [CodecZstd + 1]sync.Pool //nolint:gochecknoglobals // decoders are dear, and hold no state between uses

// openStream starts on a compressed body. ErrUnknownCodec, or ErrUndecodable for a header that does not parse.
func openStream(codec Codec, body []byte, limit int64) (*bodyStream, error) {
	if codec <= CodecNone || codec > CodecZstd {
		return nil, fmt.Errorf("%w id: %d", ErrUnknownCodec, int8(codec))
	}
	s, _ := streamPools[codec].Get().(*bodyStream)
	if s == nil {
		s = &bodyStream{codec: codec, dec: newDecoder(codec), buf: make([]byte, streamBufferSize)}
	}
	s.r, s.w, s.left, s.read, s.err = 0, 0, limit, 0, nil
	if err := s.dec.reset(body); err != nil {
		s.close()
		return nil, fmt.Errorf("%w: %s: %w", ErrUndecodable, codec, err)
	}
	return s, nil
}

func newDecoder(codec Codec) decoder {
	switch codec {
	case CodecGzip:
		return &gzipDecoder{}
	case CodecSnappy:
		return &snappyDecoder{}
	case CodecLz4:
		return &lz4Decoder{lz4.NewReader(nil)}
	case CodecZstd:
		return &zstdDecoder{}
	case CodecNone:
	}
	return nil // openStream asks only for those above
}

func (s *bodyStream) close() {
	if len(s.buf) > streamBufferSize {
		s.buf = make([]byte, streamBufferSize) // one large record must not stay in the pool
	}
	s.r, s.w = 0, 0
	_ = s.dec.reset(nil) // let go of the body
	streamPools[s.codec].Put(s)
}

// fill reads more behind buf[:w]; there must be room.
func (s *bodyStream) fill() error {
	for tries := 0; s.err == nil; tries++ {
		room := s.buf[s.w:]
		if s.left+1 < int64(len(room)) {
			room = room[:s.left+1] // one more, to tell the end from too much
		}
		n, err := s.dec.Read(room)
		s.w += n
		s.left -= int64(n)
		s.read += int64(n)
		s.err = err
		if s.left < 0 {
			s.err = fmt.Errorf("%w: decompresses to more than %d bytes", ErrTooLarge, s.read-1)
			return s.err
		}
		if n > 0 {
			return nil
		}
		if tries == 100 {
			s.err = io.ErrNoProgress
		}
	}
	return s.err
}

// taken is how many bytes of output were consumed.
func (s *bodyStream) taken() int64 { return s.read - int64(s.w-s.r) }

// ReadByte makes it an io.ByteReader, for varints.
func (s *bodyStream) ReadByte() (byte, error) {
	if s.r == s.w {
		s.r, s.w = 0, 0
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	c := s.buf[s.r]
	s.r++
	return c, nil
}

// take returns the next n bytes, valid until the next call. The buffer grows as bytes come, not by what n
// promises.
func (s *bodyStream) take(n int) ([]byte, error) {
	if int64(n) > s.left+int64(s.w-s.r) {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrTooLarge, n)
	}
	if s.w-s.r < n && s.r > 0 {
		copy(s.buf, s.buf[s.r:s.w])
		s.r, s.w = 0, s.w-s.r
	}
	for s.w-s.r < n {
		if s.w == len(s.buf) {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	out := s.buf[s.r : s.r+n : s.r+n]
	s.r += n
	return out, nil
}

// skip drops n bytes.
func (s *bodyStream) skip(n int64) error {
	for {
		have := min(n, int64(s.w-s.r))
		s.r += int(have)
		n -= have
		if n == 0 {
			return nil
		}
		s.r, s.w = 0, 0
		if err := s.fill(); err != nil {
			return err
		}
	}
}

type gzipDecoder struct {
	gzip.Reader
	src bytes.Reader
}

func (d *gzipDecoder) reset(body []byte) error {
	d.src.Reset(body)
	if body == nil {
		return nil
	}
	return d.Reset(&d.src)
}

type lz4Decoder struct{ *lz4.Reader }

func (d *lz4Decoder) reset(body []byte) error {
	d.Reset(bytes.NewReader(body))
	return nil
}

// snappyMagic begins a stream of the Java library: then version i32, least compatible version i32, and
// blocks {length i32, raw block}. A body without it is one raw block, as some clients send and Kafka reads.
const (
	snappyMagic      = "\x82SNAPPY\x00"
	snappyHeaderSize = 16
	// snappyMaxRatio: three bytes of input make at most 64 of output.
	snappyMaxRatio = 22
)

type snappyDecoder struct {
	body  []byte // what is left, block by block
	raw   bool   // the body is one block
	block []byte // decompressed and not read yet
	buf   []byte
}

var errSnappy = errors.New("snappy: broken stream")

func (d *snappyDecoder) reset(body []byte) error {
	if cap(d.buf) > streamBufferSize {
		d.buf = nil
	}
	d.body, d.block = body, nil
	d.raw = !bytes.HasPrefix(body, []byte(snappyMagic))
	if d.raw || body == nil {
		return nil
	}
	return d.header()
}

func (d *snappyDecoder) header() error {
	if len(d.body) < snappyHeaderSize || int32(binary.BigEndian.Uint32(d.body[8:])) < 1 {
		return errSnappy
	}
	d.body = d.body[snappyHeaderSize:]
	return nil
}

func (d *snappyDecoder) Read(p []byte) (int, error) {
	for len(d.block) == 0 {
		if len(d.body) == 0 {
			return 0, io.EOF
		}
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.block)
	d.block = d.block[n:]
	return n, nil
}

// next decompresses one block. What a block says of its size is believed only as far as its length allows.
func (d *snappyDecoder) next() error {
	in := d.body
	if d.raw {
		d.body = nil
	} else {
		if bytes.HasPrefix(in, []byte(snappyMagic)) { // streams one after another
			return d.header()
		}
		if len(in) < 4 {
			return errSnappy
		}
		size := int64(int32(binary.BigEndian.Uint32(in)))
		if size < 0 || size > int64(len(in)-4) {
			return errSnappy
		}
		in, d.body = in[4:4+size], in[4+size:]
	}
	size, err := snappy.DecodedLen(in)
	if err != nil {
		return err
	}
	if size > len(in)*snappyMaxRatio || size > MaxDecompressedBytes {
		return errSnappy
	}
	if cap(d.buf) < size {
		d.buf = make([]byte, size)
	}
	d.block, err = snappy.Decode(d.buf[:cap(d.buf)], in)
	return err
}

type zstdDecoder struct {
	stream *zstd.Decoder // for small windows
	whole  bytes.Reader  // the output of a frame with a large one
	useAll bool
}

func (d *zstdDecoder) reset(body []byte) error {
	d.useAll = false
	d.whole.Reset(nil)
	if body == nil {
		if d.stream != nil {
			return d.stream.Reset(nil)
		}
		return nil
	}
	var h zstd.Header
	if err := h.Decode(body); err != nil {
		return err
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = max(window, h.FrameContentSize)
	}
	if window > zstdStreamWindow {
		return d.decodeWhole(body)
	}
	if d.stream == nil {
		stream, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdStreamWindow))
		if err != nil {
			return err
		}
		d.stream = stream
	}
	return d.stream.Reset(bytes.NewReader(body))
}

// decodeWhole needs no window: the output is the window. Such frames are rare, so nothing is pooled.
func (d *zstdDecoder) decodeWhole(body []byte) error {
	all, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderMaxMemory(zstdWholeBytes))
	if err != nil {
		return err
	}
	defer all.Close()
	out, err := all.DecodeAll(body, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return fmt.Errorf("%w: decompresses to more than %d bytes", ErrTooLarge, zstdWholeBytes)
	}
	if err != nil {
		return err
	}
	d.useAll = true
	d.whole.Reset(out)
	return nil
}

func (d *zstdDecoder) Read(p []byte) (int, error) {
	if d.useAll {
		return d.whole.Read(p)
	}
	return d.stream.Read(p)
}
