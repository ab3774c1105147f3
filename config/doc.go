// Package config is the table of configurations: one declaration is one row, and the typed key is the
// row. server.properties, the environment, DescribeConfigs, validation and docs/configs.md derive from it.
package config
