//go:build mutation_nameless

package flow

const mutation = "nameless"
