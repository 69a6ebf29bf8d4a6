//go:build mutation_unplayed

package flow

const mutation = "unplayed"
