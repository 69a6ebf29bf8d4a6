//go:build mutation_zone

package flow

const mutation = "zone"
