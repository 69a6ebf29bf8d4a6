//go:build mutation_retryguard

package flow

const mutation = "retryguard"
