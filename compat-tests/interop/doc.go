// Package interop puts Apache Kafka 4.4.0 and ours on the same data directory, one after the other, with the same
// server.properties, and holds what one serves against what the other served. It also reads what we wrote with
// Kafka's own dump tool. Every test runs both servers as processes; ports 21500-21549.
// They need Java, so they have the build tag kafka; compat-tests/run is their home.
package interop
