//go:build mutation_recapture

package flow

const mutation = "recapture"
