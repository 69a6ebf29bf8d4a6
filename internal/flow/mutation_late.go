//go:build mutation_late

package flow

const mutation = "late"
