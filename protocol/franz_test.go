package protocol

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// serveProduce is the least broker that franz-go produces to: one topic "t" with one partition.
func serveProduce(c net.Conn, port int, requests chan<- *kmsg.ProduceRequest) {
	defer func() { _ = c.Close() }()
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		req := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(frame)))
		req.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
		body := frame[10+int(binary.BigEndian.Uint16(frame[8:])):]
		if req.IsFlexible() {
			body = body[1:]
		}
		if err := req.ReadFrom(body); err != nil {
			return
		}
		resp := answer(req, port, requests)
		out := append(make([]byte, 4), frame[4:8]...)
		if resp.IsFlexible() && resp.Key() != 18 {
			out = append(out, 0)
		}
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func answer(req kmsg.Request, port int, requests chan<- *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	switch resp := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		for key, top := range map[int16]int16{0: 9, 3: 9, 18: 3, 22: 1} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, top
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
	case *kmsg.MetadataResponse:
		broker := kmsg.NewMetadataResponseBroker()
		broker.Host, broker.Port = "127.0.0.1", int32(port)
		topic, part := kmsg.NewMetadataResponseTopic(), kmsg.NewMetadataResponseTopicPartition()
		name := "t"
		topic.Topic, topic.Partitions = &name, append(topic.Partitions, part)
		resp.Brokers, resp.Topics = append(resp.Brokers, broker), append(resp.Topics, topic)
	case *kmsg.InitProducerIDResponse:
		resp.ProducerID = 77
	case *kmsg.ProduceResponse:
		requests <- req.(*kmsg.ProduceRequest)
		topic, part := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, part)
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func TestBatchesOfFranzGoAreAcceptedUnchanged(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			addr, requests := captureProduce(t)
			client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond))
			require.NoError(t, err)
			defer client.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			value := strings.Repeat("abcdefgh", 4000)
			results := client.ProduceSync(ctx,
				&kgo.Record{Key: []byte("k0"), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}},
				&kgo.Record{Value: []byte(value)}, &kgo.Record{Key: []byte{}})
			require.NoError(t, results.FirstErr())
			records := (<-requests).Topics[0].Partitions[0].Records
			want := append([]byte(nil), records...)

			o := clientOptions()
			o.NowMs = time.Now().UnixMilli()
			out, err := Validate(records, o)
			require.NoError(t, err)
			require.Equal(t, want, out)
			require.Equal(t, name, Batch(out).Codec().String())
			require.Equal(t, int64(77), Batch(out).ProducerID())
			require.Len(t, collect(t, out), int(Batch(out).Count()))
			require.Equal(t, value, collect(t, out)[0].value)
		})
	}
}
