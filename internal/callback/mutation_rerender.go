//go:build mutation_rerender

package callback

const rerender = true
