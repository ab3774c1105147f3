package groupcoord

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Records of __consumer_offsets: the key begins with an int16 that is the record's type, the value with
// an int16 that is the value's version. kmsg has the types that classic groups and offsets need, in all
// of Kafka 4.4's versions.
const (
	keyLegacyOffsetCommit int16 = 0 // Kafka before 0.11; only read
	keyOffsetCommit       int16 = 1
	keyGroupMetadata      int16 = 2
)

// Versions of values. Apache Kafka 4.4 writes offsets at 4, or 1 with a retention time, and groups at 3.
const (
	offsetCommitVersion       int16 = 4
	offsetCommitEpochVersion  int16 = 3
	offsetCommitExpireVersion int16 = 1 // with a retention time of the client's
	groupMetadataVersion      int16 = 3
	groupMetadataFlexible     int16 = 4
)

var (
	errUnknownRecord   = errors.New("record type is not known")
	errMalformedRecord = errors.New("malformed record")
)

// offset is a committed offset.
type offset struct {
	offset      int64
	leaderEpoch int32 // -1: none
	metadata    string
	committedAt int64 // ms
	expiresAt   int64 // ms; -1: by the broker's retention
	topicID     [16]byte
	recordedAt  int64 // the record's own offset
}

func offsetKey(group, topic string, partition int32) []byte {
	k := kmsg.OffsetCommitKey{Version: keyOffsetCommit, Group: group, Topic: topic, Partition: partition}
	return k.AppendTo(make([]byte, 0, 10+len(group)+len(topic)))
}

func offsetRecord(group, topic string, partition int32, o *offset) coordinator.Record {
	v := kmsg.OffsetCommitValue{
		Version: offsetCommitVersion, Offset: o.offset, LeaderEpoch: o.leaderEpoch, Metadata: o.metadata,
		CommitTimestamp: o.committedAt, ExpireTimestamp: o.expiresAt, TopicID: o.topicID,
	}
	if o.expiresAt >= 0 {
		v.Version = offsetCommitExpireVersion
	}
	return coordinator.Record{
		Key: offsetKey(group, topic, partition), Value: v.AppendTo(make([]byte, 0, 48+len(o.metadata))),
	}
}

func offsetTombstone(group, topic string, partition int32) coordinator.Record {
	return coordinator.Record{Key: offsetKey(group, topic, partition)}
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: keyGroupMetadata, Group: group}
	return k.AppendTo(nil)
}

func groupTombstone(group string) coordinator.Record { return coordinator.Record{Key: groupKey(group)} }

// parsed is a record's key.
type parsed struct {
	key       int16
	group     string
	topic     string // of an offset
	partition int32  // of an offset
	member    string // of a consumer group's record: the member, or the pattern
}

func parseKey(key []byte) (parsed, error) {
	if len(key) < 2 {
		return parsed{}, fmt.Errorf("%w: a key of %d bytes", errMalformedRecord, len(key))
	}
	p := parsed{key: int16(binary.BigEndian.Uint16(key))}
	switch p.key {
	case keyLegacyOffsetCommit, keyOffsetCommit:
		var k kmsg.OffsetCommitKey
		if err := k.ReadFrom(key); err != nil {
			return p, fmt.Errorf("%w: offset key: %w", errMalformedRecord, err)
		}
		p.group, p.topic, p.partition = k.Group, k.Topic, k.Partition
		return p, nil
	case keyGroupMetadata:
		var k kmsg.GroupMetadataKey
		if err := k.ReadFrom(key); err != nil {
			return p, fmt.Errorf("%w: group key: %w", errMalformedRecord, err)
		}
		p.group = k.Group
		return p, nil
	}
	if isConsumerKey(p.key) {
		var err error
		p.group, p.member, err = parseConsumerKey(p.key, key[2:])
		return p, err
	}
	return p, fmt.Errorf("%w: %d", errUnknownRecord, p.key)
}

func parseOffset(value []byte) (offset, error) {
	version, err := valueVersion(value, offsetCommitVersion)
	if err != nil {
		return offset{}, err
	}
	if version == offsetCommitVersion {
		if err := checkOffsetTags(value); err != nil {
			return offset{}, err
		}
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(value); err != nil {
		return offset{}, fmt.Errorf("%w: offset v%d: %w", errMalformedRecord, version, err)
	}
	o := offset{
		offset: v.Offset, leaderEpoch: -1, metadata: v.Metadata, committedAt: v.CommitTimestamp,
		expiresAt: -1, topicID: v.TopicID,
	}
	if version >= offsetCommitEpochVersion {
		o.leaderEpoch = v.LeaderEpoch
	}
	if version == offsetCommitExpireVersion {
		o.expiresAt = v.ExpireTimestamp
	}
	return o, nil
}

func parseGroup(value []byte) (*kmsg.GroupMetadataValue, error) {
	version, err := valueVersion(value, groupMetadataFlexible)
	if err != nil {
		return nil, err
	}
	if version == groupMetadataFlexible {
		if err := checkGroupTags(value); err != nil {
			return nil, err
		}
	}
	v := kmsg.NewGroupMetadataValue()
	if err := v.ReadFrom(append([]byte(nil), value...)); err != nil { // its byte fields alias what it reads
		return nil, fmt.Errorf("%w: group v%d: %w", errMalformedRecord, version, err)
	}
	return &v, nil
}

func valueVersion(value []byte, highest int16) (int16, error) {
	if len(value) < 2 {
		return 0, fmt.Errorf("%w: a value of %d bytes", errMalformedRecord, len(value))
	}
	version := int16(binary.BigEndian.Uint16(value))
	if version < 0 || version > highest {
		return 0, fmt.Errorf("%w: value version %d", errMalformedRecord, version)
	}
	return version, nil
}
