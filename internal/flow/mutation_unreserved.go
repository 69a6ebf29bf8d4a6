//go:build mutation_unreserved

package flow

const mutation = "unreserved"
