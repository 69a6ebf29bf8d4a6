//go:build mutation_release

package flow

const mutation = "release"
