package protocol

// Header is a request header, v0 to v2 (Kafka's RequestHeader).
type Header struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // null is ""
}

// ParseHeader reads the header of a frame (without its size) and returns the body after it. An error
// means: close the connection.
func ParseHeader(frame []byte) (h Header, body []byte, err error) { panic("protocol: being built") }

// AppendResponseHeader appends correlation id and, for flexible versions of all but ApiVersions, an empty tag section.
func AppendResponseHeader(dst []byte, h Header) []byte { panic("being built") }

// CheckRequest walks an untrusted body before kmsg decodes it: every length and count against what
// remains, tags, elements, and the memory that decoding would take. An error means: close the connection.
func CheckRequest(key, version int16, body []byte) error { panic("being built") }

// MaxFrameBytes is the largest frame of an API; messageMaxBytes is the broker's message.max.bytes.
func MaxFrameBytes(key int16, messageMaxBytes int32) int32 { panic("being built") }
