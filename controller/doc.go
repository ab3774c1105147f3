// Package controller is the metadata quorum and the state machine on it: every create, delete and
// config change is a committed record of __cluster_metadata.
package controller
