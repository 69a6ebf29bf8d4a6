//go:build mutation_resend

package flow

const mutation = "resend"
