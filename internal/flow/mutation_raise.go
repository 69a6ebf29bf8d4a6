//go:build mutation_raise

package flow

const mutation = "raise"
