// Package handlers answers requests: a table of APIs, and one file per API. A handler turns a request
// into calls on partitions, controller and coordinators, and Go errors into Kafka's codes.
package handlers
