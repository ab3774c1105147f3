package protocol

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// benchmarkCheck measures the check alone and, beside it, the decoding that it comes before.
func benchmarkCheck(b *testing.B, req kmsg.Request) {
	body := req.AppendTo(nil)
	require.NoError(b, CheckRequest(req.Key(), req.GetVersion(), body))
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := CheckRequest(req.Key(), req.GetVersion(), body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			fresh := kmsg.RequestForKey(req.Key())
			fresh.SetVersion(req.GetVersion())
			if err := fresh.(kmsg.UnsafeReadFrom).UnsafeReadFrom(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckRequestProduce(b *testing.B) {
	for _, partitions := range []int{1, 100} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			req := kmsg.NewPtrProduceRequest()
			req.Version = 13
			topic := kmsg.NewProduceRequestTopic()
			for i := range partitions {
				topic.Partitions = append(topic.Partitions, kmsg.ProduceRequestTopicPartition{Partition: int32(i), Records: make([]byte, 1024)})
			}
			req.Topics = []kmsg.ProduceRequestTopic{topic}
			benchmarkCheck(b, req)
		})
	}
}

func BenchmarkCheckRequestFetch(b *testing.B) {
	for _, partitions := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			req := kmsg.NewPtrFetchRequest()
			req.Version = 18
			topic := kmsg.NewFetchRequestTopic()
			for i := range partitions {
				p := kmsg.NewFetchRequestTopicPartition()
				p.Partition = int32(i)
				topic.Partitions = append(topic.Partitions, p)
			}
			if partitions > 0 {
				req.Topics = []kmsg.FetchRequestTopic{topic}
			}
			benchmarkCheck(b, req)
		})
	}
}

func BenchmarkFetchResponseParts(b *testing.B) {
	r := &FetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
	r.Version = 18
	topic := kmsg.NewFetchResponseTopic()
	for range 100 {
		topic.Partitions = append(topic.Partitions, kmsg.NewFetchResponseTopicPartition())
		r.Sources = append(r.Sources, loaded("records"))
	}
	r.Topics = []kmsg.FetchResponseTopic{topic}
	buffer, parts := make([]byte, 9, 64<<10), make([]Part, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		r.AppendParts(append(parts[:0], Part{Bytes: buffer}))
	}
}
