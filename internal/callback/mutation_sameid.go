//go:build !mutation_newid

package callback

// newID has each try of a webhook come under an id of its own, a mistake made on
// purpose, as rerender is.
const newID = false
