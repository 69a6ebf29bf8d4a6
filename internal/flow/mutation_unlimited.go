//go:build mutation_unlimited

package flow

const mutation = "unlimited"
