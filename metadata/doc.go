// Package metadata is the cluster's metadata: Kafka's metadata-log records, the immutable image that
// they make, and the publisher that hands each new image to its subscribers.
package metadata
