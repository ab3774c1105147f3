package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Header is a request header, v0 to v2 (Kafka's RequestHeader).
type Header struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // null is ""
}

// ErrUnknownAPI is a key that Kafka 4.4 does not have, or has no version of any more.
var ErrUnknownAPI = errors.New("unknown API key")

func unknownAPI(key int16) error { return fmt.Errorf("%w %d", ErrUnknownAPI, key) }

// ErrBadHeader is a request header that is cut short or has a broken tag section.
var ErrBadHeader = errors.New("bad request header")

// UnsupportedVersionError is a version of an API that Kafka 4.4 does not have.
type UnsupportedVersionError struct {
	Key, Version, Min, Max int16
}

func (e *UnsupportedVersionError) Error() string {
	return fmt.Sprintf("API key %d has no version %d, only %d to %d", e.Key, e.Version, e.Min, e.Max)
}

const keyApiVersions = 18

// ParseHeader reads the header of a frame (without its size) and returns the body after it. An error
// means: close the connection; it wraps ErrUnknownAPI or ErrBadHeader or is an *UnsupportedVersionError.
// Versions are Kafka's; what we serve of them, the table of handlers says. An ApiVersions request of
// an unknown version is no error, because it is answered (UNSUPPORTED_VERSION, in version 0).
func ParseHeader(frame []byte) (h Header, body []byte, err error) {
	return ParseHeaderReusing(frame, "")
}

// ParseHeaderReusing is ParseHeader for a connection whose last request had this client id: an equal one
// costs no allocation.
func ParseHeaderReusing(frame []byte, clientID string) (h Header, body []byte, err error) {
	if len(frame) < 10 {
		return h, nil, fmt.Errorf("%w: %d bytes, at least 10 are needed", ErrBadHeader, len(frame))
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	api := request(h.Key)
	if api == nil {
		return h, nil, unknownAPI(h.Key)
	}
	if (h.Version < api.min || h.Version > api.max) && h.Key != keyApiVersions {
		return h, nil, &UnsupportedVersionError{Key: h.Key, Version: h.Version, Min: api.min, Max: api.max}
	}
	// The client id has the classic form in header v2 too.
	n := int(int16(binary.BigEndian.Uint16(frame[8:])))
	body = frame[10:]
	if n > len(body) {
		return h, nil, fmt.Errorf("%w: client id of %d bytes, %d remain", ErrBadHeader, n, len(body))
	}
	if n > 0 {
		if string(body[:n]) == clientID {
			h.ClientID = clientID
		} else {
			h.ClientID = string(body[:n])
		}
		body = body[n:]
	}
	if h.Version < api.flexible {
		return h, body, nil
	}
	w := walk{b: body, memory: memoryBase}
	if err := w.layout(&layout{flexible: true}); err != nil { // Kafka knows no tag there
		return h, nil, fmt.Errorf("%w: %s: %s (%d, limit %d)", ErrBadHeader, err.Path, err.Reason, err.Value, err.Limit)
	}
	return h, w.b, nil
}

// AppendResponseHeader appends correlation id and, for flexible versions of all but ApiVersions, an
// empty tag section.
func AppendResponseHeader(dst []byte, h Header) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if api := request(h.Key); api != nil && h.Version >= api.flexible && h.Key != keyApiVersions {
		dst = append(dst, 0)
	}
	return dst
}
