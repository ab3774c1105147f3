// Package faultproxy stands between Kafka clients and a broker and does to single requests what a network, or a
// proxy that somebody runs, may do to them: it holds one and delivers it after the client has given up and gone on,
// delivers one twice, cuts the connection before a request or before its answer. What happens to a request is decided
// by its API key and version. It can also change requests, which makes a broken broker out of a sound one: so the
// tests of what finds broken brokers have something to find.
//
// The broker must advertise the proxy's address. Produce with acks=0 is not supported: it has no answer to count.
package faultproxy
