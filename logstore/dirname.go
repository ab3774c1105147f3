package logstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Suffixes of partition directories that are on their way out or in.
const (
	deleteDirSuffix = "-delete"
	futureDirSuffix = "-future"
	strayDirSuffix  = "-stray"
)

// metadataLogDir is the metadata quorum's log: OpenLog's business, never a partition of a store.
const metadataLogDir = "__cluster_metadata-0"

const maxFileName = 255

var errDirName = errors.New("not a partition directory")

// dirName is the partition's directory name.
func (tp TopicPartition) dirName() string {
	return tp.Topic + "-" + strconv.Itoa(int(tp.Partition))
}

// String is the directory name, as in Kafka's logs.
func (tp TopicPartition) String() string { return tp.dirName() }

// parseDirName reads a partition directory's name; suffix is -delete, -future, -stray or empty.
func parseDirName(name string) (tp TopicPartition, suffix string, err error) {
	bad := fmt.Errorf("%q: %w", name, errDirName)
	for _, s := range []string{deleteDirSuffix, futureDirSuffix, strayDirSuffix} {
		rest, found := strings.CutSuffix(name, s)
		if !found {
			continue
		}
		dot := strings.LastIndexByte(rest, '.')
		if dot < 0 || len(rest)-dot-1 != 32 {
			break // a topic may well be called x-delete
		}
		if _, err := hex.DecodeString(rest[dot+1:]); err != nil {
			return tp, "", bad
		}
		name, suffix = rest[:dot], s
		break
	}
	dash := strings.LastIndexByte(name, '-')
	if dash <= 0 {
		return tp, "", bad
	}
	p, err := strconv.ParseInt(name[dash+1:], 10, 32)
	if err != nil || p < 0 {
		return tp, "", bad
	}
	return TopicPartition{Topic: name[:dash], Partition: int32(p)}, suffix, nil
}

// suffixedDirName is <topic>-<p>.<32 hex><suffix>, unique; the topic is cut so that the name fits.
func (tp TopicPartition) suffixedDirName(suffix string) string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	tail := "-" + strconv.Itoa(int(tp.Partition)) + "." + hex.EncodeToString(id[:]) + suffix
	topic := tp.Topic
	if len(topic)+len(tail) > maxFileName {
		topic = topic[:maxFileName-len(tail)]
	}
	return topic + tail
}
