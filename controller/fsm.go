package controller

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"

	"minikafka/metadata"
)

const (
	featureELR   = "eligible.leader.replicas.version"
	configMinISR = "min.insync.replicas"
)

// machine decides requests: a view of the metadata and a request in, records and a response out. It does
// no I/O and knows no clock; ids and the order of placement come from its sources of randomness.
type machine struct {
	nodeID int32
	newID  func() metadata.UUID
	rand   *mathrand.Rand
}

func newMachine(o Options) *machine {
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails (package crypto/rand)
	return &machine{
		nodeID: o.NodeID, newID: randomID,
		rand: mathrand.New(mathrand.NewPCG(binary.BigEndian.Uint64(seed[:]), binary.BigEndian.Uint64(seed[8:]))), //nolint:gosec // placement is no secret
	}
}

// randomID is a random UUID as Kafka draws them: version 4, none of the reserved ones, and no text form
// that starts with '-', which a command line would take for an option.
func randomID() metadata.UUID {
	for {
		var u metadata.UUID
		_, _ = rand.Read(u[:]) // never fails (package crypto/rand)
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
		if u.String()[0] != '-' {
			return u
		}
	}
}

// elr says whether eligible leader replicas (KIP-966) are on.
func elr(image *metadata.Image) bool { return image.Features()[featureELR] > 0 }
