package restart

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn speaks just enough of the protocol that no client library's start counts.
type conn struct {
	net.Conn
	t *testing.T
}

func dial(t *testing.T, addr string) conn {
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	return conn{nc, t}
}

// ask does one request of a version whose response header has no tags.
func (c conn) ask(req kmsg.Request, resp kmsg.Response) {
	c.t.Helper()
	_, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1))
	require.NoError(c.t, err)
	var head [8]byte
	_, err = io.ReadFull(c, head[:])
	require.NoError(c.t, err)
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err = io.ReadFull(c, body)
	require.NoError(c.t, err)
	resp.SetVersion(req.GetVersion())
	require.NoError(c.t, resp.ReadFrom(body))
}

// partitions counts those that have a leader.
func (c conn) partitions() int {
	req, resp := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrMetadataResponse()
	req.Version = 5
	c.ask(req, resp)
	n := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				n++
			}
		}
	}
	return n
}

// fetch returns bytes from the beginning of a partition.
func (c conn) fetch(topic string, partition int32) []byte {
	req, resp := kmsg.NewPtrFetchRequest(), kmsg.NewPtrFetchResponse()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 11, 1000, 1, 1<<20
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.PartitionMaxBytes = partition, 4096
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	c.ask(req, resp)
	require.Zero(c.t, resp.Topics[0].Partitions[0].ErrorCode, "%s-%d", topic, partition)
	return resp.Topics[0].Partitions[0].RecordBatches
}
