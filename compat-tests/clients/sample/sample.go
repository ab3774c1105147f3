// Package sample has the records that every client writes and must read again: keys, headers, nulls, empties and
// records of a megabyte.
package sample

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Start is the timestamp of the first record; record i is i*100 ms later. Young enough for every retention.
var Start = time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())

// Step is the time between two records.
const Step = 100 * time.Millisecond

// Big is the size in bytes of the largest value: it fits into Kafka's default max.message.bytes with its key.
const Big = 1_000_000

// A Header of a record. Value may be nil.
type Header struct {
	Key   string
	Value []byte
}

// A Record as it is written and as it must be read. Nil and empty are different.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Time       time.Time
}

// Records returns the sample: always the same.
func Records() []Record {
	noise := make([]byte, Big)
	rng := rand.NewChaCha8([32]byte{7})
	_, _ = rng.Read(noise)
	out := []Record{
		{Key: []byte("key"), Value: []byte("value")},
		{Key: nil, Value: []byte("null key")},
		{Key: []byte("null value"), Value: nil},
		{Key: []byte{}, Value: []byte("empty key")},
		{Key: []byte("empty value"), Value: []byte{}},
		{Key: []byte("headers"), Value: []byte("v"), Headers: []Header{{"a", []byte("1")}, {"a", []byte("2")}, {"empty", []byte{}}, {"ü", []byte{0, 255}}}},
		{Key: []byte("big, compressible"), Value: bytes.Repeat([]byte("minikafka "), Big/10)},
		{Key: []byte("big, noise"), Value: noise},
	}
	for i := range 92 {
		out = append(out, Record{Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "record %d", i)})
	}
	for i := range out {
		out[i].Time = Start.Add(time.Duration(i) * Step)
	}
	return out
}

// RequireEqual fails unless got is want, record by record. Clients that show null and empty alike say strict=false.
func RequireEqual(t testing.TB, want, got []Record, strict bool) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, w := range want {
		g := got[i]
		require.True(t, bytes.Equal(w.Key, g.Key), "key of record %d: %.40q, want %.40q", i, g.Key, w.Key)
		require.True(t, bytes.Equal(w.Value, g.Value), "value of record %d: %.40q, want %.40q", i, g.Value, w.Value)
		require.Equal(t, w.Time.UnixMilli(), g.Time.UnixMilli(), "timestamp of record %d", i)
		require.Len(t, g.Headers, len(w.Headers), "headers of record %d", i)
		for j, h := range w.Headers {
			require.Equal(t, h.Key, g.Headers[j].Key)
			require.True(t, bytes.Equal(h.Value, g.Headers[j].Value), "header %d of record %d", j, i)
		}
		if strict {
			require.Equal(t, w.Key == nil, g.Key == nil, "null key of record %d", i)
			require.Equal(t, w.Value == nil, g.Value == nil, "null value of record %d", i)
		}
	}
}

// Topic is a name that no other test of the run uses.
func Topic(t testing.TB) string {
	t.Helper()
	name := []byte(t.Name())
	for i, c := range name {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
		if !ok {
			name[i] = '-'
		}
	}
	return fmt.Sprintf("%s-%08x", name, rand.Uint32())
}
