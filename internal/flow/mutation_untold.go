//go:build mutation_untold

package flow

const mutation = "untold"
