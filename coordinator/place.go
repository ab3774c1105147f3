package coordinator

import "unicode/utf16"

// PartitionFor is the partition of the internal topic that a key's coordinator leads: Kafka's
// abs(key.hashCode()) % partitions, where abs of the smallest int32 is 0.
func PartitionFor(key string, partitions int32) int32 {
	h := javaHash(key)
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return h % partitions
}

// javaHash is String.hashCode: over UTF-16 units, in wrapping 32 bits.
func javaHash(s string) int32 {
	var h int32
	for _, r := range s {
		if hi, lo := utf16.EncodeRune(r); utf16.IsSurrogate(hi) && r > 0xffff {
			h = 31*(31*h+hi) + lo
			continue
		}
		h = 31*h + r
	}
	return h
}
