package metadata

import "sync/atomic"

// Subscriber is called with each new image, in the order of subscription, on the publisher's goroutine;
// the reply to the request that made the change waits until all have returned.
type Subscriber func(image *Image, delta *Delta)

// Publisher holds the current image and tells its subscribers of each new one. Subscribe and Publish
// belong to one goroutine; Image may be called from any.
type Publisher struct {
	current     atomic.Pointer[Image]
	subscribers []namedSubscriber
}

type namedSubscriber struct {
	name string
	call Subscriber
}

// NewPublisher starts with an image.
func NewPublisher(image *Image) *Publisher {
	p := &Publisher{}
	p.current.Store(image)
	return p
}

// Image is the newest published image.
func (p *Publisher) Image() *Image { return p.current.Load() }

// Subscribe adds a subscriber behind the others and calls it with everything that is there.
func (p *Publisher) Subscribe(name string, s Subscriber) {
	p.subscribers = append(p.subscribers, namedSubscriber{name, s})
	image := p.Image()
	s(image, Everything(image))
}

// Publish replaces the image, then calls every subscriber in order. A nil delta means that nothing but
// the offset changed: nobody is called.
func (p *Publisher) Publish(image *Image, delta *Delta) {
	p.current.Store(image)
	if delta == nil {
		return
	}
	for _, s := range p.subscribers {
		s.call(image, delta)
	}
}
