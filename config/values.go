package config

// Values is an immutable snapshot of configuration: the node's (static file and environment, dynamic
// broker configs), or a topic's view of it.
type Values struct{}

// Key is a row with its Go type: the effective value is Get(values, key).
type Key[T any] struct{ row *Row }

// Row is one configuration.
type Row struct{ Name string }

// Get is the effective value: topic override, then dynamic broker, dynamic default, static, default.
func Get[T any](v *Values, k Key[T]) T { panic("config: being built") }

// Topic is the view of a topic with these overrides (the image's ConfigRecords).
func (v *Values) Topic(overrides map[string]string) *Values { panic("config: being built") }

// WithDynamic is v with the dynamic broker configs replaced: of this broker, and the cluster-wide default.
func (v *Values) WithDynamic(broker, cluster map[string]string) *Values { panic("config: being built") }
