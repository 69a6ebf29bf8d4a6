//go:build mutation_foureyes

package flow

const mutation = "foureyes"
