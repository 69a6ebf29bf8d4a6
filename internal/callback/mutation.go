//go:build !mutation_rerender

package callback

// rerender has a retry send bytes that were rendered anew, a mistake made on purpose, so that a test can prove that the
// simulator would see it (test/mutation). A release does not, and the compiler
// leaves the mistake out.
const rerender = false
