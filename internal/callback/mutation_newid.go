//go:build mutation_newid

package callback

const newID = true
