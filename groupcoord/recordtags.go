package groupcoord

import (
	"encoding/binary"
	"fmt"
)

// kmsg does not bound the number of tags by the bytes that remain: before it reads a flexible value,
// these walk to each tag section and compare.

// skipper walks over encoded fields; after the first that does not fit, ok is false.
type skipper struct {
	b  []byte
	ok bool
}

func (s *skipper) skip(n uint64) {
	if !s.ok || n > uint64(len(s.b)) {
		s.ok = false
		return
	}
	s.b = s.b[n:]
}

func (s *skipper) uvarint() uint64 {
	if !s.ok {
		return 0
	}
	v, n := binary.Uvarint(s.b[:min(len(s.b), binary.MaxVarintLen32)])
	if n <= 0 {
		s.ok = false
		return 0
	}
	s.b = s.b[n:]
	return v
}

// compact passes a compact string or compact bytes, null or not.
func (s *skipper) compact() {
	if n := s.uvarint(); n > 0 {
		s.skip(n - 1)
	}
}

func (s *skipper) tags() {
	for n := s.uvarint(); n > 0 && s.ok; n-- {
		s.uvarint()
		s.skip(s.uvarint())
	}
}

func (s *skipper) err(what string) error {
	if s.ok {
		return nil
	}
	return fmt.Errorf("%w: %s is cut short", errMalformedRecord, what)
}

// checkOffsetTags walks an OffsetCommitValue v4.
func checkOffsetTags(value []byte) error {
	s := &skipper{value, true}
	s.skip(2 + 8 + 4) // version, offset, leader epoch
	s.compact()       // metadata
	s.skip(8)         // commit timestamp
	s.tags()
	return s.err("offset v4")
}

// checkGroupTags walks a GroupMetadataValue v4.
func checkGroupTags(value []byte) error {
	s := &skipper{value, true}
	s.skip(2)
	s.compact() // protocol type
	s.skip(4)   // generation
	s.compact() // protocol
	s.compact() // leader
	s.skip(8)   // state timestamp
	for n := s.uvarint(); n > 1 && s.ok; n-- {
		for range 4 { // member id, instance id, client id, host
			s.compact()
		}
		s.skip(8)   // rebalance and session timeout
		s.compact() // subscription
		s.compact() // assignment
		s.tags()
	}
	s.tags()
	return s.err("group v4")
}
