//go:build mutation_early

package flow

const mutation = "early"
