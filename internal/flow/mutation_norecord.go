//go:build mutation_norecord

package flow

const mutation = "norecord"
