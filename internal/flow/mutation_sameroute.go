//go:build mutation_sameroute

package flow

const mutation = "sameroute"
