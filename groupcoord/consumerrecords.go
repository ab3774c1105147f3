package groupcoord

import "minikafka/metadata"

// UUID is a topic's id.
type UUID = metadata.UUID
