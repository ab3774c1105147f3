// Package broker is the embeddable Kafka broker: it wires logs, metadata quorum, partitions and
// handlers together and serves the Kafka protocol on its listeners.
//
//	b := broker.New(broker.Options{Config: values})
//	if err := b.Start(ctx); err != nil { … }
//	defer b.Stop(ctx)
//
// A connection is one goroutine. It takes every complete request out of what one read returned,
// answers in the order of the requests, and holds no buffer while it is idle.
package broker
