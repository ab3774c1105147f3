package metadata

// Delta is what changed between two images.
type Delta struct {
	Topics        map[UUID]*Topic // new or changed, by id
	DeletedTopics map[UUID]*Topic // as they were
	Configs       map[Resource]struct{}
	Brokers       map[int32]struct{}
	Features      bool
}

// Subscriber is called with each new image, in the order of subscription, on the publisher's goroutine;
// the reply to the request that made the change waits until all have returned.
type Subscriber func(image *Image, delta *Delta)
