//go:build mutation_unknown

package flow

const mutation = "unknown"
