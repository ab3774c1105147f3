// Package dumplog holds `minikafka dump-log` against Apache Kafka's DumpLogSegments on the same files: those that
// Kafka wrote and those that we wrote. The two must print the same, line for line, but for the listed
// differences; and Kafka's tool must find nothing wrong with ours, after kills neither. The load has transactions
// (committed, aborted, open, with offsets in them), all codecs, retention and compaction: a load of keys on our
// broker is read back and compared before and after.
package dumplog
