//go:build mutation_expire

package flow

const mutation = "expire"
