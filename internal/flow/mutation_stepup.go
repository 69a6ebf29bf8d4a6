//go:build mutation_stepup

package flow

const mutation = "stepup"
