//go:build mutation_unlinked

package flow

const mutation = "unlinked"
