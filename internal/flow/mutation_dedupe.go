//go:build mutation_dedupe

package flow

const mutation = "dedupe"
