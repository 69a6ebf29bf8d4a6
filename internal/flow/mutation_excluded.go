//go:build mutation_excluded

package flow

const mutation = "excluded"
