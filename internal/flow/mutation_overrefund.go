//go:build mutation_overrefund

package flow

const mutation = "overrefund"
